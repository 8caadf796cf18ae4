// The credential as docs/protocol.md has it, written once more from the page: nothing here is the Rust SDK's.

import { execFileSync } from "node:child_process";
import { createPublicKey, verify } from "node:crypto";
import { writeFileSync } from "node:fs";
import { Keypair, PublicKey } from "@solana/web3.js";
import { utils } from "@anchor-lang/core";

/** What travels with a request: base58, and the seq as decimal text. */
export interface Credential {
  channel: string;
  seq: string;
  sig: string;
}

/** The 52 bytes that a credential's signer signs. */
export function signedBytes(channel: PublicKey, epoch: bigint, seq: bigint): Buffer {
  const bytes = Buffer.alloc(52);
  bytes.write("AMP\x01", 0, "latin1");
  channel.toBuffer().copy(bytes, 4);
  bytes.writeBigUInt64LE(epoch, 36);
  bytes.writeBigUInt64LE(seq, 44);
  return bytes;
}

/** Whether `signature` is `signer`'s over `message`, by the cryptography of Node.js. */
export function isSigned(signer: PublicKey, message: Buffer, signature: Buffer): boolean {
  const x = signer.toBuffer().toString("base64url");
  const key = createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x }, format: "jwk" });
  return verify(null, message, key, signature);
}

export function signatureOf(credential: Credential): Buffer {
  return utils.bytes.bs58.decode(credential.sig);
}

/** Has the Rust SDK sign a credential, as an agent's client does for a request. */
export function signedByTheRustSdk(
  signer: Keypair,
  folder: string,
  channel: PublicKey,
  epoch: bigint,
  seq: bigint,
): Credential {
  const program = process.env.AMP_CREDENTIAL;
  if (!program) throw new Error("AMP_CREDENTIAL names no program: run `make anchor-test` or `anchor test`");
  const keypair = `${folder}/signer.json`;
  writeFileSync(keypair, JSON.stringify([...signer.secretKey]), { mode: 0o600 });
  const made = execFileSync(program, [keypair, channel.toBase58(), `${epoch}`, `${seq}`]);
  return JSON.parse(made.toString());
}
