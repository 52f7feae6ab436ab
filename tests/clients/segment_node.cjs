// Sends an install, purchases and an identify with @segment/analytics-node.
// Arguments: where to send, the write key, the plan as JSON.
const { Analytics } = require('@segment/analytics-node')

const [host, writeKey, text] = process.argv.slice(2)
const plan = JSON.parse(text)
const analytics = new Analytics({ host, writeKey, flushAt: 3, maxRetries: 10, httpRequestTimeout: 5000 })
analytics.on('error', (error) => console.error(error))

const who = { anonymousId: plan.device, userId: plan.user }
analytics.track({ ...who, event: 'Application Installed', timestamp: new Date(plan.installed) })
for (const { time, revenue } of plan.purchases) {
  const properties = { revenue, currency: 'EUR' }
  analytics.track({ ...who, event: 'Order Completed', timestamp: new Date(time), properties })
}
analytics.identify({ ...who, traits: { plan: 'pro' } })
analytics.closeAndFlush({ timeout: 120000 }).catch((error) => { console.error(error); process.exitCode = 1 })
