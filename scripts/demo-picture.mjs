// Takes docs/demo.png, the picture of the README, from the running demo: Alice comes back to a kept push, talks with Bob, and mines
// a block. `make picture` builds the demo and installs the browser before. Look at the picture before you commit it.
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Demo, feedItem, launchChromium, open, say, status } from "../tests/browser/harness.js";

const picture = join(import.meta.dirname, "../docs/demo.png");
/** The picture loads with the README, and is in the package. */
const LARGEST = 250_000;
/** The port of the demo's commands, which the picture shows. */
const PORT = 8090;
/** About 16 million attempts: long enough for a line of the hash rate. */
const DIFFICULTY = "24";
const MINED_MS = 300_000;
/** The height without the card that follows the inbox. The inbox decides on the real one. */
const VIEWPORT = { width: 1240, height: 900 };
const MARGIN = 14;

const directory = mkdtempSync(join(tmpdir(), "keywire-picture-"));
const demo = await Demo.start({ port: PORT, args: ["--log", join(directory, "log.db")] });
const browser = await launchChromium();
try {
  // In this time zone it is after eleven.
  const hours = new Date().getUTCHours() - 11;
  const timezoneId = `Etc/GMT${hours < 0 ? hours : `+${hours}`}`;
  const context = await browser.newContext({ viewport: VIEWPORT, deviceScaleFactor: 1.5, colorScheme: "light", timezoneId });
  const alice = await open(context, demo, "alice");
  const bob = await open(context, demo, "bob");

  await alice.click("#connect");
  await status(alice, "closed");
  await demo.post("/push/alice", { code: "00", msg: "Your order is ready", keep: true });
  await alice.click("#connect");
  await status(alice, "open");
  await feedItem(alice, "Your order is ready", "server");

  await say(bob, "alice", "Lunch at one? The place by the river.");
  await feedItem(alice, "Lunch at one?", "@bob");
  await say(alice, "carol", "Lunch with Bob and me?");
  await feedItem(alice, "carol is not connected");
  await alice.fill("#difficulty", DIFFICULTY);
  await alice.click("#start");
  await alice.locator("#block").waitFor({ timeout: MINED_MS });
  await demo.post("/push/alice", { code: "00", msg: "Your parcel arrives today", keep: true });
  await feedItem(alice, "Your parcel", "server");
  await say(alice, "bob", "With pleasure!");
  await feedItem(bob, "With pleasure!", "@alice");
  await alice.locator("#sent", { hasText: "Delivered" }).waitFor();
  await say(bob, "alice", "See you there.");
  await feedItem(alice, "See you there.", "@bob");

  await alice.bringToFront();
  await alice.locator("#sessions", { hasText: "2" }).waitFor();
  const inbox = await alice.locator("#inbox").boundingBox();
  if (!inbox) throw new Error("the inbox is hidden");
  await alice.setViewportSize({ ...VIEWPORT, height: Math.ceil(inbox.y + inbox.height) + MARGIN });
  // The newest toast alone. The others would cover the inbox.
  const toasts = alice.locator(".toast");
  while ((await toasts.count()) > 1) await toasts.first().locator("button").click();
  await alice.mouse.move(0, 0);
  await alice.evaluate(() => /** @type {HTMLElement} */ (document.activeElement)?.blur());
  if (alice.faults.length) throw new Error(alice.faults.join("\n"));
  await alice.screenshot({ path: picture, animations: "disabled" });
} finally {
  await browser.close();
  await demo.stop();
  rmSync(directory, { recursive: true });
}
const { size } = statSync(picture);
console.log(`${picture}: ${size} bytes`);
if (size > LARGEST) throw new Error(`the picture has more than ${LARGEST} bytes`);
