// Sends an install, purchases and an identify with @amplitude/analytics-node.
// Arguments: where to send, the API key, the plan as JSON.
const amplitude = require('@amplitude/analytics-node')

const [host, apiKey, text] = process.argv.slice(2)
const plan = JSON.parse(text)

async function main() {
  const serverUrl = `${host}/2/httpapi`
  const settings = { serverUrl, flushIntervalMillis: 50, flushQueueSize: 3, flushMaxRetries: 10 }
  await amplitude.init(apiKey, { ...settings, logLevel: 1 }).promise
  const who = { device_id: plan.device, user_id: plan.user }
  const sent = [amplitude.track('[Amplitude] Application Installed', undefined, { ...who, time: plan.installed })]
  for (const { time, revenue } of plan.purchases) {
    const event = new amplitude.Revenue().setPrice(revenue / 2).setQuantity(2).setProductId('boots')
    sent.push(amplitude.revenue(event, { ...who, time }))
  }
  sent.push(amplitude.identify(new amplitude.Identify().set('plan', 'pro').add('logins', 2), who))
  const answers = await Promise.all(sent.map(({ promise }) => promise))
  const bad = answers.filter(({ code }) => code !== 200)
  bad.forEach(({ code, message }) => console.error(code, message))
  process.exitCode = bad.length > 0 ? 1 : 0
}
main()
