//! A real browser: headless Chromium behind one chromedriver for the whole test process, which ends with the
//! process. Every [`Browser`] is a session of its own with an empty profile.
//!
//! Fields, buttons and links are found by their accessible name, which is what a person reads or a screen reader
//! says: a page whose label is not tied to its field fails here. White space does not count in names and texts.
//! A click on a link or a submit button ends when the next page is loaded; apart from the two that wait, everything
//! else looks at the page as it is.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use fantoccini::cookies::Cookie;
use fantoccini::elements::Element;
use fantoccini::error::CmdError;
use fantoccini::wd::{Capabilities, WebDriverCompatibleCommand, WindowHandle};
use fantoccini::{Client, ClientBuilder, Locator};
use http::Method;
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use url::{ParseError, Url};
use uuid::Uuid;

use super::watchdog::{Leash, Watchdog};

/// Starts chromedriver in a session of its own, with every file in one folder. The browsers stay in that session,
/// and they outlive a chromedriver that is killed, so the end is for the whole group.
const SCRIPT: &str = r#"
trap '' PIPE
browser=$(command -v chromium || command -v chromium-browser || command -v google-chrome) &&
  command -v chromedriver >/dev/null || { echo missing; exit; }
TMPDIR=$(mktemp -d "${TMPDIR:-/tmp}/mooring-browser.XXXXXX") || exit
export TMPDIR
echo "$TMPDIR"
echo "$browser"
setsid sh -c 'chromedriver --port=0 2>&1; echo chromedriver ended' &
read -r _
kill -s KILL -- "-$!"
for _ in 1 2 3; do rm -rf "$TMPDIR" && break; done
"#;

const FLAGS: [&str; 10] = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-quic",
    "--hide-scrollbars",
];

const FIELDS: &str = "input:not([type=hidden]), select, textarea";
const BUTTONS: &str = "button, input[type=submit], input[type=button], [role=button], summary";
const LINKS: &str = "a[href]";

/// How long anything waits at most.
const PATIENCE: Duration = Duration::from_secs(10);

/// Whether a click on this element loads another page: a link that leads elsewhere, or the submit button of a form
/// whose fields the browser accepts.
const LOADS_A_PAGE: &str = r"
    const [element] = arguments, link = element.closest('a[href]'), form = element.form;
    if (link) {
        const here = link.hash && link.href.split('#')[0] === location.href.split('#')[0];
        return !here && link.target !== '_blank' && !link.hasAttribute('download');
    }
    const accepted = form && (form.noValidate || element.formNoValidate || form.matches(':valid'));
    return Boolean(accepted && element.type === 'submit' && form.target !== '_blank');
";

/// What kind of visitor this is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BrowserOptions {
    /// Width of the page's viewport, in CSS pixels.
    pub(crate) width: u32,
    /// Height of the page's viewport, in CSS pixels.
    pub(crate) height: u32,
    /// Whether the visitor prefers dark colours.
    pub(crate) dark: bool,
    /// Whether the pages' scripts run.
    pub(crate) script: bool,
}

impl BrowserOptions {
    /// A laptop with light colours and scripts.
    pub(crate) const DESK: Self = Self { width: 1280, height: 800, dark: false, script: true };
    pub(crate) const PHONE: Self = Self { width: 390, height: 844, ..Self::DESK };

    pub(crate) const fn dark(self) -> Self {
        Self { dark: true, ..self }
    }

    pub(crate) const fn without_script(self) -> Self {
        Self { script: false, ..self }
    }
}

/// One visitor with one browser.
pub(crate) struct Browser {
    client: Client,
    profile: PathBuf,
}

impl Browser {
    /// Opens a browser with an empty profile.
    pub(crate) async fn start(options: BrowserOptions) -> Self {
        let driver = driver();
        let profile = driver.folder.join(format!("profile-{}", Uuid::now_v7().simple()));
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities(options, &driver.browser, &profile))
            .connect(&format!("http://127.0.0.1:{}", driver.port))
            .await
            .expect("chromedriver opens a browser");
        Self { client, profile }
    }

    /// Opens an address and waits until its page is loaded.
    pub(crate) async fn goto(&self, url: &str) {
        self.client.goto(url).await.unwrap_or_else(|error| panic!("{url} does not open: {error}"));
    }

    /// The address in the address bar.
    pub(crate) async fn url(&self) -> String {
        self.client.current_url().await.expect("the browser has a page").into()
    }

    /// The text of the page that can be seen.
    pub(crate) async fn text(&self) -> String {
        let body = async {
            loop {
                if let Some(text) = self.visible_text().await {
                    return text;
                }
            }
        };
        tokio::time::timeout(PATIENCE, body).await.expect("the page has a body")
    }

    /// Replaces what stands in the field with this label.
    pub(crate) async fn fill(&self, label: &str, value: &str) {
        let field = self.named("field", FIELDS, label).await;
        field.clear().await.unwrap_or_else(|error| panic!("field {label:?} cannot be emptied: {error}"));
        field.send_keys(value).await.unwrap_or_else(|error| panic!("field {label:?} takes no text: {error}"));
    }

    /// What stands in the field with this label.
    pub(crate) async fn value(&self, label: &str) -> String {
        let field = self.named("field", FIELDS, label).await;
        field.prop("value").await.expect("the field is still there").unwrap_or_default()
    }

    /// Picks the option with this text in the drop-down list with this label.
    pub(crate) async fn choose(&self, label: &str, option: &str) {
        let list = self.named("list", "select", label).await;
        let choice = list.select_by_label(option).await;
        choice.unwrap_or_else(|error| panic!("list {label:?} has no option {option:?}: {error}"));
    }

    /// Types into whatever has the focus; `\u{e004}` is Tab, `\u{e007}` Enter.
    pub(crate) async fn keys(&self, keys: &str) {
        let focused = self.client.active_element().await.expect("something has the focus");
        focused.send_keys(keys).await.unwrap_or_else(|error| panic!("{keys:?} cannot be typed: {error}"));
    }

    /// Ticks the checkbox or radio button with this label, if it is not ticked.
    pub(crate) async fn check(&self, label: &str) {
        let field = self.named("checkbox", "input[type=checkbox], input[type=radio]", label).await;
        if !field.is_selected().await.expect("the checkbox is still there") {
            self.click(&field, label).await;
        }
    }

    /// Clicks the button with this text, or else the link with it, which may look like a button.
    pub(crate) async fn press(&self, text: &str) {
        let element = match self.find(BUTTONS, text).await {
            Some(button) => button,
            None => self.named("button", &format!("{BUTTONS}, {LINKS}"), text).await,
        };
        self.click(&element, text).await;
    }

    /// Clicks the link with this text.
    pub(crate) async fn follow(&self, text: &str) {
        self.click(&self.named("link", LINKS, text).await, text).await;
    }

    /// Whether the page shows this text now.
    pub(crate) async fn has_text(&self, text: &str) -> bool {
        collapse(&self.text().await).contains(&collapse(text))
    }

    /// Waits up to ten seconds until the page shows this text.
    pub(crate) async fn wait_for_text(&self, text: &str) {
        let shown = async { while !self.has_text(text).await {} };
        let in_time = tokio::time::timeout(PATIENCE, shown).await.is_ok();
        assert!(in_time, "{} does not show {text:?}, but:\n{}", self.url().await, self.text().await);
    }

    /// Waits up to ten seconds until the address contains this text.
    pub(crate) async fn wait_for_url(&self, part: &str) {
        let arrived = async { while !self.url().await.contains(part) {} };
        let in_time = tokio::time::timeout(PATIENCE, arrived).await.is_ok();
        assert!(in_time, "{} does not contain {part:?}; it shows:\n{}", self.url().await, self.text().await);
    }

    /// Writes the whole page, also what is below the viewport, to `target/shots/NAME.png`.
    pub(crate) async fn screenshot(&self, name: &str) -> PathBuf {
        let size = self.devtools("Page.getLayoutMetrics", json!({})).await["cssContentSize"].take();
        let clip = json!({ "x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1 });
        let how = json!({ "format": "png", "captureBeyondViewport": true, "clip": clip });
        let shot = self.devtools("Page.captureScreenshot", how).await;
        let png = BASE64_STANDARD.decode(shot["data"].as_str().expect("the picture is text"));
        let path = shots().join(name).with_extension("png");
        std::fs::write(&path, png.expect("the picture is base64")).expect("target/shots can be written");
        path
    }

    /// The cookies that the page's address gets, with their attributes.
    pub(crate) async fn cookies(&self) -> Vec<Cookie<'static>> {
        self.client.get_all_cookies().await.expect("the page has cookies or none")
    }

    /// Presses the browser's back button.
    pub(crate) async fn back(&self) {
        self.client.back().await.expect("there is a page before this one");
    }

    /// Presses the browser's reload button, which sends a form again.
    pub(crate) async fn reload(&self) {
        self.client.refresh().await.expect("the page loads again");
    }

    /// Opens an empty tab that shares the cookies, and goes on there.
    pub(crate) async fn new_tab(&self) -> WindowHandle {
        let opened = self.client.new_window(true).await.expect("a tab opens").handle;
        self.switch_to(&opened).await;
        opened
    }

    /// The tab in which this visitor is.
    pub(crate) async fn tab(&self) -> WindowHandle {
        self.client.window().await.expect("a tab is open")
    }

    /// Goes on in another tab.
    pub(crate) async fn switch_to(&self, tab: &WindowHandle) {
        self.client.switch_to_window(tab.clone()).await.expect("the tab is open");
    }

    /// The errors in the console since the last call: scripts that failed, refusals by the content security policy,
    /// and files that could not be loaded.
    pub(crate) async fn console_errors(&self) -> Vec<String> {
        let log = self.post("se/log", json!({ "type": "browser" })).await;
        let entries = log.as_array().expect("the log is a list").iter();
        let errors = entries.filter(|entry| entry["level"] == "SEVERE");
        errors.map(|entry| entry["message"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// Runs our own script in the page, also where the page's scripts are off, and gives what it returns.
    pub(crate) async fn execute(&self, script: &str) -> Value {
        self.client.execute(script, Vec::new()).await.expect("the script runs")
    }

    /// Closes the browser and removes its profile; a browser that is not closed ends with the test process.
    pub(crate) async fn close(self) {
        self.client.close().await.expect("the browser closes");
        std::fs::remove_dir_all(self.profile).ok();
    }

    /// Clicks, and waits for the page that the click loads: chromedriver alone sometimes still answers from the page
    /// before. A script that takes the click for itself costs the whole patience, because nothing tells of it.
    async fn click(&self, element: &Element, name: &str) {
        let element_in_script = serde_json::to_value(element).expect("an element is a reference");
        let loads = self.client.execute(LOADS_A_PAGE, vec![element_in_script]).await;
        let before = self.document().await;
        element.click().await.unwrap_or_else(|error| panic!("{name:?} cannot be clicked: {error}"));
        if loads.expect("the element is still there") == true {
            let loaded = async { while self.document().await == before || !self.is_loaded().await {} };
            tokio::time::timeout(PATIENCE, loaded).await.ok();
        }
    }

    /// Which load of a page the tab shows.
    async fn document(&self) -> Value {
        self.devtools("Page.getFrameTree", json!({})).await["frameTree"]["frame"]["loaderId"].take()
    }

    async fn is_loaded(&self) -> bool {
        let state = self.client.execute("return document.readyState", Vec::new()).await;
        state.is_ok_and(|state| state == "complete")
    }

    async fn visible_text(&self) -> Option<String> {
        let body = self.client.find(Locator::Css("body")).await.ok()?;
        body.text().await.ok()
    }

    async fn named(&self, kind: &str, css: &str, name: &str) -> Element {
        if let Some(element) = self.find(css, name).await {
            return element;
        }
        let mut names = Vec::new();
        for element in self.all(css).await {
            names.push(self.name(&element).await);
        }
        panic!("{} has no {kind} named {name:?}, but {names:?}", self.url().await)
    }

    async fn find(&self, css: &str, name: &str) -> Option<Element> {
        for element in self.all(css).await {
            if self.name(&element).await == collapse(name) {
                return Some(element);
            }
        }
        None
    }

    async fn all(&self, css: &str) -> Vec<Element> {
        self.client.find_all(Locator::Css(css)).await.expect("the page can be searched")
    }

    /// The accessible name, as the browser computes it.
    async fn name(&self, element: &Element) -> String {
        let path = format!("element/{}/computedlabel", &*element.element_id());
        let name = self.call(Method::GET, path, None).await.expect("the element is still there");
        collapse(name.as_str().unwrap_or_default())
    }

    async fn devtools(&self, command: &str, params: Value) -> Value {
        self.post("goog/cdp/execute", json!({ "cmd": command, "params": params })).await
    }

    async fn post(&self, path: &str, body: Value) -> Value {
        let answer = self.call(Method::POST, path.to_owned(), Some(body)).await;
        answer.unwrap_or_else(|error| panic!("chromedriver refuses {path}: {error}"))
    }

    async fn call(&self, method: Method, path: String, body: Option<Value>) -> Result<Value, CmdError> {
        self.client.issue_cmd(Call { method, path, body }).await
    }
}

/// A text with single spaces, as the browser shows it.
fn collapse(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn shots() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("shots");
    std::fs::create_dir_all(&folder).expect("target can be written");
    folder
}

fn capabilities(options: BrowserOptions, browser: &str, profile: &Path) -> Capabilities {
    let mut flags: Vec<_> = FLAGS.map(str::to_owned).into();
    flags.push(format!("--user-data-dir={}", profile.display()));
    if options.dark {
        flags.push("--blink-settings=preferredColorScheme=0".to_owned());
    }
    let mut chrome = json!({
        "binary": browser,
        "args": flags,
        // The size of the viewport and not of the window: a window has a bar, and none is narrower than 500.
        "mobileEmulation": { "deviceMetrics": {
            "width": options.width, "height": options.height, "pixelRatio": 1, "mobile": false, "touch": false,
        } },
    });
    if !options.script {
        chrome["prefs"] = json!({ "profile.managed_default_content_settings.javascript": 2 });
    }
    Capabilities::from_iter([
        ("browserName".to_owned(), json!("chrome")),
        ("goog:chromeOptions".to_owned(), chrome),
        ("goog:loggingPrefs".to_owned(), json!({ "browser": "ALL" })),
    ])
}

/// A command of chromedriver that fantoccini does not have.
#[derive(Debug)]
struct Call {
    method: Method,
    path: String,
    body: Option<Value>,
}

impl WebDriverCompatibleCommand for Call {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> Result<Url, ParseError> {
        base.join(&format!("session/{}/{}", session.unwrap_or_default(), self.path))
    }

    fn method_and_body(&self, _: &Url) -> (Method, Option<String>) {
        (self.method.clone(), self.body.as_ref().map(Value::to_string))
    }
}

/// The one chromedriver of this process.
struct Driver {
    folder: PathBuf,
    browser: String,
    port: u16,
    _leash: Leash,
}

fn driver() -> &'static Driver {
    static DRIVER: OnceLock<Driver> = OnceLock::new();
    DRIVER.get_or_init(start_driver)
}

fn start_driver() -> Driver {
    let mut watchdog = Watchdog::start(SCRIPT);
    let first = watchdog.hear().expect("a folder for the browsers can be made");
    assert!(first != "missing", "Chromium or chromedriver is missing: `make test` installs them");
    let browser = watchdog.hear().expect("the script names the browser");
    let port = hear_port(&mut watchdog);
    Driver { folder: first.into(), browser, port, _leash: watchdog.ignore() }
}

/// chromedriver takes a free port by itself and says which.
fn hear_port(watchdog: &mut Watchdog) -> u16 {
    let mut heard = Vec::new();
    while let Some(line) = watchdog.hear() {
        if let Some((_, port)) = line.split_once("started successfully on port ") {
            return port.trim_end_matches('.').parse().expect("a port is a number");
        }
        heard.push(line);
        if heard.last().is_some_and(|line| line == "chromedriver ended") {
            break;
        }
    }
    panic!("chromedriver does not start:\n{}", heard.join("\n"))
}
