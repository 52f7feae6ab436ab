// Sextant: <script async src="https://HOST/sx.js" data-app="GUID"></script>
// sx("event", name, data)  sx("identify", {user_id: "u-1"})  sx("consent", true or false)
(function (w, n) {
  var tag = document.currentScript, app = tag && tag.dataset.app, early = (w.sx || {}).q || [];
  if (!app || (w.sx || {}).on) return;
  var base = new URL(tag.src).origin, root = "sx." + app, started = Date.now(), failures = 0, count = 0;
  var store = {}, state = {}, busy;
  // Where storage is forbidden, everything lives as long as the page.
  try { store = w.localStorage; state = JSON.parse(store[root] || "{}"); } catch (e) {}

  function write(key, value) { try { store[key] = JSON.stringify(value); } catch (e) {} }
  function save() { write(root, state); }
  function drop(key) { delete store[key]; }
  function waiting() {
    return Object.keys(store).filter(key => !key.indexOf(root + "/")).sort();
  }
  function hex(length) {
    return Array.from(w.crypto.getRandomValues(new Uint8Array(length)), b => (b & 15).toString(16)).join("");
  }
  // Global Privacy Control says no until the page says that the person said yes.
  function allowed() { return state.consent == null ? !n.globalPrivacyControl : state.consent; }
  function call(action, data) {
    var now = Date.now();
    data.starttime = started / 1e3;
    data.uptime = (now - started) / 1e3;
    data.usertime = now / 1e3;
    return {
      action: action, kochava_app_id: app, kochava_device_id: state.id, sdk_version: "WebTracker sx/1",
      sdk_protocol: "17", nt_id: hex(5) + "-" + state.n + "-" + hex(32), data: data
    };
  }
  // A key for each call: two pages of a site must not lose each other's. At most 500 wait; the oldest goes first.
  function put(action, data) {
    var keys = waiting();
    if (keys[499]) drop(keys[0]);
    write(root + "/" + Date.now() + (1e5 + count++) + hex(4), call(action, data));
    next();
  }
  function install() {
    var data = { package: location.hostname, language: n.language, disp_w: screen.width, disp_h: screen.height };
    if (state.click) data.conversion_data = { utm_source: state.click };
    put("install", data);
  }
  function begin() {
    if (!allowed()) return;
    var first = !state.id;
    state.id = state.id || "KB" + Math.floor(started / 1e3) + "T" + hex(32);
    state.n = (state.n || 0) + 1;
    save();
    if (first) install();
    put("event", { event_name: "page", event_data: { page_name: location.pathname } });
  }
  // Leaves out what the app's settings forbid; says whether anything is left to send.
  function trim(body) {
    var data = body.data, links = data.identity_link, lists = state.privacy || {};
    function denied(list, name) { return (lists["deny_" + list] || []).indexOf(name) >= 0; }
    for (var link in links) if (denied("identity_links", link)) delete links[link];
    for (var key in data) if (denied("datapoints", key)) delete data[key];
    return !denied("event_names", data.event_name) && (!links || Object.keys(links)[0]);
  }
  function post(path, body, done) {
    busy = 1;
    fetch(base + path, { method: "POST", keepalive: true, headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) })
      .then(function (r) { return r.json(); }).catch(function () {})
      .then(function (answer) {
        busy = 0;
        if (answer && answer.success == 1) {
          failures = 0;
          done(answer);
          next();
        } else setTimeout(next, [7, 30, 300, 1800][Math.min(failures++, 3)] * 1e3);
      });
  }
  function next() {
    var key = waiting()[0];
    if (busy || !key || !allowed()) return;
    if (!(Date.now() < state.until)) return post("/track/kvinit", call("init", { platform: "web" }), told);
    var body = JSON.parse(store[key]);
    if (!trim(body)) {
      drop(key);
      return next();
    }
    body.init_token = state.token;
    post("/track/json/", body, function () { drop(key); });
  }
  function told(answer) {
    var again = answer.install.resend_id;
    state.until = Date.now() + answer.config.refresh_minimum * 1e3;
    state.token = answer.config.init_token;
    state.privacy = answer.privacy;
    if (again && again != state.again) install();
    state.again = again;
    save();
  }
  function consent(yes) {
    if (!yes) {
      waiting().forEach(drop);
      state = {};
    }
    state.consent = !!yes;
    save();
    if (yes && !state.id) begin();
  }
  function run(c) {
    if (c[0] == "consent") consent(c[1]);
    else if (!allowed()) return;
    else if (c[0] == "event") put("event", { event_name: c[1], event_data: c[2] || {} });
    else if (c[0] == "identify") put("identityLink", { identity_link: c[1] });
  }

  state.click = new URLSearchParams(location.search).get("ko_click_id") || state.click;
  w.sx = function () { run(arguments); };
  w.sx.on = 1;
  begin();
  early.forEach(run);
  w.addEventListener("online", next);
})(window, navigator);
