/** Debian's Chromium, driven from outside: pages with a viewport and a colour scheme, and what the page complained of. */
import assert from "node:assert/strict";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";

export const ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];

// Longer than the SDK may wait before it tries again (30 s): a deadline below that would fail what
// is right. It holds for loading a page as well, which takes as long as that on a machine that is
// busy with other things.
export const PATIENCE_MS = 60_000;

export const DESKTOP = { width: 1280, height: 800 };
export const PHONE = { width: 390, height: 844 };

// What a browser says about a connection that breaks is the test's doing.
const EXPECTED = /WebSocket connection to .* failed|net::ERR_CONNECTION_(REFUSED|RESET)/;

export class Browser {
  #browser;
  #shots;

  static async start(t) {
    const browser = new Browser();
    // Playwright makes a new, empty profile for each launch.
    browser.#browser = await chromium.launch({ executablePath: process.env.CHROMIUM || "/usr/bin/chromium", headless: true, args: ARGUMENTS });
    t.after(() => browser.#browser.close());
    browser.#shots = await mkdtemp(join(tmpdir(), "greenroom-screenshots-"));
    t.diagnostic(`screenshots: ${browser.#shots}`);
    return browser;
  }

  /** The page in a browser of its own: no storage is shared. `watch` gets it before it loads. */
  async open(url, { viewport = DESKTOP, colorScheme = "light", phone = false, watch = () => {} } = {}) {
    const context = await this.#browser.newContext({ viewport, colorScheme, hasTouch: phone, isMobile: phone, locale: "en-GB" });
    const page = await context.newPage();
    page.setDefaultTimeout(PATIENCE_MS);
    const complaints = [];
    page.on("console", (message) => {
      if (["error", "warning"].includes(message.type()) && !EXPECTED.test(message.text())) complaints.push(message.text());
    });
    page.on("pageerror", (error) => complaints.push(String(error)));
    page.on("requestfailed", (request) => complaints.push(`${request.url()}: ${request.failure()?.errorText}`));
    page.on("response", (response) => response.status() >= 400 && complaints.push(`${response.url()}: ${response.status()}`));
    watch(page);
    await page.goto(url);
    return new Person(page, complaints, this.#shots);
  }
}

/** Somebody at the page. */
export class Person {
  #shots;

  constructor(page, complaints, shots) {
    this.page = page;
    this.complaints = complaints;
    this.#shots = shots;
  }

  id(name) {
    return this.page.getByTestId(name);
  }

  /** The message with this text, once it is committed. */
  message(text) {
    return this.id("messages").getByTestId("message").filter({ has: this.page.locator(".text", { hasText: text }) });
  }

  item(text) {
    return this.id("checklist-item").filter({ hasText: text });
  }

  async join(name) {
    await this.id("name-input").fill(name);
    await this.id("name-save").click();
    await this.id("message-input").waitFor();
  }

  async post(text) {
    await this.id("message-input").fill(text);
    await this.id("message-send").click();
  }

  async add(text) {
    await this.id("checklist-input").fill(text);
    await this.id("checklist-add").click();
  }

  /** Clicks one of a message's own buttons. */
  async act(text, button) {
    const message = this.message(text);
    await message.hover();
    await message.getByRole("group", { name: "Message actions" }).getByRole("button", { name: button }).click();
  }

  /** The texts that the room shows, in order. */
  texts() {
    return this.id("messages").locator('[data-testid="message"] .text').allInnerTexts();
  }

  async isConnected() {
    await this.id("connection-state").filter({ hasText: /^connected$/ }).waitFor();
  }

  async screenshot(name) {
    await this.page.screenshot({ path: join(this.#shots, `${name}.png`) });
  }

  /** Nothing sticks out sideways. */
  async fits() {
    const { scroll, client } = await this.page.evaluate(() => ({ scroll: document.documentElement.scrollWidth, client: document.documentElement.clientWidth }));
    assert.ok(scroll <= client, `the page is ${scroll} px wide in a window of ${client} px`);
  }
}
