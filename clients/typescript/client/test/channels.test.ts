// SPDX-License-Identifier: MPL-2.0
import { describe, expect, it } from "vitest";
import { Channels } from "../src/channels.js";

const place = { channel: "room:1", epoch: "new", offset: "0" };

function rejoined(): Channels {
  const channels = new Channels();
  channels.want("room:1");
  channels.join({ channel: "room:1", epoch: "old", offset: "7", recovered: false });
  return channels;
}

describe("a place that was lost", () => {
  it("is reported once when the reset says what the welcome said", () => {
    const channels = rejoined();
    const gaps = channels.join({ ...place, recovered: false });
    expect(gaps).toEqual([{ channel: "room:1", reason: "epoch" }]);
    expect(channels.reset({ ...place, reason: "epoch" })).toEqual([]);
  });

  it("is reported again when caches must be bypassed, which the welcome does not say", () => {
    const channels = rejoined();
    channels.join({ ...place, recovered: false });
    const gaps = channels.reset({ ...place, reason: "unconfirmed" });
    expect(gaps).toEqual([{ channel: "room:1", reason: "unconfirmed" }]);
  });

  it("is history to a client that does not know the reason", () => {
    const gaps = rejoined().reset({ ...place, reason: "of a later version" });
    expect(gaps).toEqual([{ channel: "room:1", reason: "history" }]);
  });
});
