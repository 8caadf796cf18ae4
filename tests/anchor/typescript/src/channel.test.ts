// A channel's life in a stock Anchor client, through the checked-in IDL. `make anchor-test`, or `anchor test`.

import assert from "node:assert/strict";
import { before, test } from "node:test";
import { Keypair, PublicKey } from "@solana/web3.js";
import { isSigned, signatureOf, signedBytes, signedByTheRustSdk } from "./credential";
import { Market, TOKENS, refusal, whenNotTooEarly } from "./market";

const DEPOSIT = 10_000;
const HOUR = 3_600;
let market: Market;

before(async () => {
  market = await Market.open();
});

/** The epoch of the authorized signer. */
async function epochOf(channel: PublicKey): Promise<bigint> {
  return BigInt((await market.channel(channel)).openedSlot.toString());
}

test("a channel opens, is topped up, is asked to close and closes when its grace is over", async () => {
  const channel = await market.openChannel({ nonce: 1, deposit: DEPOSIT, closeGrace: 1 });
  const opened = await market.channel(channel);
  assert.equal(opened.funder.toBase58(), market.funder.toBase58());
  assert.equal(opened.authorizedSigner.toBase58(), market.hotKey.publicKey.toBase58());
  assert.deepEqual([opened.deposited.toNumber(), opened.claimed.toNumber()], [DEPOSIT, 0]);

  const topped = await market.events(await market.topUp(channel, 500));
  assert.deepEqual(topped.map((event) => event.name), ["toppedUp"]);
  assert.equal((await market.channel(channel)).deposited.toNumber(), DEPOSIT + 500);
  assert.equal(await market.holds(opened.vault), BigInt(DEPOSIT + 500));

  await market.requestClose(channel);
  assert.notEqual((await market.channel(channel)).closingAt.toNumber(), 0);
  assert.equal(await refusal(market.requestClose(channel)), "AlreadyClosing");
  assert.equal(await refusal(market.topUp(channel, 1)), "Closing");

  const closed = await whenNotTooEarly("GraceNotOver", () => market.close(channel));
  assert.deepEqual((await market.events(closed)).map((event) => event.name), ["channelClosed"]);
  assert.equal(await market.provider.connection.getAccountInfo(channel), null);
  assert.equal(await market.provider.connection.getAccountInfo(opened.vault), null);
  assert.equal(await market.holds(market.funderToken), TOKENS);
});

test("a credential of the Rust SDK is signed over the 52 bytes of the protocol page, and over no others", async () => {
  const [channel, epoch, seq] = [Keypair.generate().publicKey, 123_456_789_012n, 18_446_744_073_709_551_615n];
  const credential = signedByTheRustSdk(market.hotKey, market.folder, channel, epoch, seq);
  assert.deepEqual([credential.channel, credential.seq], [channel.toBase58(), seq.toString()]);

  const message = signedBytes(channel, epoch, seq);
  const signature = signatureOf(credential);
  const signer = market.hotKey.publicKey;
  assert.deepEqual([message.length, signature.length], [52, 64]);
  assert.ok(isSigned(signer, message, signature));
  for (let at = 0; at < message.length; at += 1) {
    const altered = Buffer.from(message);
    altered[at] ^= 1;
    assert.ok(!isSigned(signer, altered, signature), `byte ${at} is not signed`);
  }
  assert.ok(!isSigned(market.recipient.publicKey, message, signature));
});

test("a credential of the Rust SDK is settled by the stock client, for no more than it was signed for", async () => {
  const before = await market.holds(market.funderToken);
  const channel = await market.openChannel({ nonce: 2, deposit: DEPOSIT, closeGrace: HOUR });
  const epoch = await epochOf(channel);
  const credential = signedByTheRustSdk(market.hotKey, market.folder, channel, epoch, 700n);
  assert.ok(isSigned(market.hotKey.publicKey, signedBytes(channel, epoch, 700n), signatureOf(credential)));

  const precompile = market.precompile(channel, epoch, credential);
  assert.equal(await refusal(market.settle(channel, 701, precompile)), "OwedAboveCeiling");
  const settled = await whenNotTooEarly("SettleEarly", () => market.settle(channel, 650, precompile));
  assert.deepEqual((await market.events(settled)).map((event) => event.name), ["settled"]);
  assert.equal(await market.holds(market.recipientToken), 650n);
  // another seq than the one that was signed: the precompile stops the transaction
  const forged = market.precompile(channel, epoch, { ...credential, seq: "9000" });
  await assert.rejects(market.settle(channel, 9_000, forged));
  assert.equal(await market.holds(market.recipientToken), 650n);

  // a close that was asked for waits an hour for everybody but the recipient
  await market.requestClose(channel);
  assert.equal(await refusal(market.close(channel)), "GraceNotOver");
  await market.close(channel, market.recipient);
  assert.equal(await market.holds(market.funderToken), before - 650n);
  assert.equal(await market.holds(market.recipientToken), 650n);
});
