// Who takes part, and what a stock Anchor client does with the checked-in IDL.

import { mkdtempSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { AnchorError, AnchorProvider, BN, EventParser, Idl, Program } from "@anchor-lang/core";
import {
  TOKEN_PROGRAM_ID, createAssociatedTokenAccount, createMint, getAccount, getAssociatedTokenAddressSync, mintTo,
} from "@solana/spl-token";
import {
  Connection, Ed25519Program, Keypair, LAMPORTS_PER_SOL, PublicKey, SYSVAR_INSTRUCTIONS_PUBKEY, TransactionInstruction,
} from "@solana/web3.js";
import { Credential, signatureOf, signedBytes } from "./credential";

const IDL = join(__dirname, "../../../../idl/amp.json");
/** Base units that the funder begins with. */
export const TOKENS = 1_000_000n;

/** An optional account that is left out; the types of an IDL read at run time know no null. */
const NONE = null as unknown as PublicKey;

/** Times in seconds, amounts in base units. */
export interface Terms {
  nonce: number;
  deposit: number;
  closeGrace: number;
}

export class Market {
  readonly folder = mkdtempSync(join(tmpdir(), "amp-anchor-"));
  readonly recipient = Keypair.generate();
  /** Signs the credentials; has neither lamports nor tokens. */
  readonly hotKey = Keypair.generate();

  private constructor(
    readonly program: Program,
    readonly provider: AnchorProvider,
    readonly mint: PublicKey,
    readonly funderToken: PublicKey,
  ) {}

  /** On the cluster and with the wallet that `anchor test` names. */
  static async open(): Promise<Market> {
    const commitment = "confirmed";
    const env = AnchorProvider.env();
    const confirmed = new Connection(env.connection.rpcEndpoint, commitment);
    const provider = new AnchorProvider(confirmed, env.wallet, { commitment, preflightCommitment: commitment });
    const idl: Idl = JSON.parse(readFileSync(IDL, "utf8"));
    const { connection, wallet } = provider;
    const payer = wallet.payer!;
    const mint = await createMint(connection, payer, wallet.publicKey, null, 6);
    const funderToken = await createAssociatedTokenAccount(connection, payer, mint, wallet.publicKey);
    await mintTo(connection, payer, mint, funderToken, payer, TOKENS);
    const market = new Market(new Program(idl, provider), provider, mint, funderToken);
    await createAssociatedTokenAccount(connection, payer, mint, market.recipient.publicKey);
    const airdrop = await connection.requestAirdrop(market.recipient.publicKey, LAMPORTS_PER_SOL);
    await connection.confirmTransaction({ signature: airdrop, ...(await connection.getLatestBlockhash()) });
    return market;
  }

  get funder(): PublicKey {
    return this.provider.wallet.publicKey;
  }

  get recipientToken(): PublicKey {
    return getAssociatedTokenAddressSync(this.mint, this.recipient.publicKey);
  }

  /** Base units in a token account. */
  async holds(account: PublicKey): Promise<bigint> {
    return (await getAccount(this.provider.connection, account)).amount;
  }

  /** Opens a channel at a unit price of 1, settled every second. */
  async openChannel({ nonce, deposit, closeGrace }: Terms): Promise<PublicKey> {
    const seed = Buffer.alloc(8);
    seed.writeBigUInt64LE(BigInt(nonce));
    const id = this.program.programId;
    const seeds = [Buffer.from("amp-channel"), this.funder.toBuffer(), this.recipient.publicKey.toBuffer(), seed];
    const [channel] = PublicKey.findProgramAddressSync(seeds, id);
    const [vault] = PublicKey.findProgramAddressSync([Buffer.from("amp-vault"), channel.toBuffer()], id);
    await this.program.methods
      .openChannel(new BN(nonce), new BN(deposit), new BN(1), new BN(deposit), 1, closeGrace, 0)
      .accountsPartial({
        funder: this.funder,
        rentPayer: this.funder,
        recipient: this.recipient.publicKey,
        authorizedSigner: this.hotKey.publicKey,
        mint: this.mint,
        channel,
        vault,
        funderToken: this.funderToken,
        tokenProgram: TOKEN_PROGRAM_ID,
      })
      .rpc();
    return channel;
  }

  /** The channel as the IDL decodes it. */
  async channel(address: PublicKey): Promise<any> {
    return (this.program.account as any).channel.fetch(address);
  }

  /** The vault and the mint are found through the channel, as the IDL's relations say. */
  async topUp(channel: PublicKey, amount: number): Promise<string> {
    return this.program.methods
      .topUp(new BN(amount))
      .accountsPartial({ channel, sourceToken: this.funderToken, tokenProgram: TOKEN_PROGRAM_ID })
      .rpc();
  }

  /** The precompile's instruction over a credential, as web3.js makes it. */
  precompile(channel: PublicKey, epoch: bigint, credential: Credential): TransactionInstruction {
    return Ed25519Program.createInstructionWithPublicKey({
      publicKey: this.hotKey.publicKey.toBytes(),
      message: signedBytes(channel, epoch, BigInt(credential.seq)),
      signature: signatureOf(credential),
    });
  }

  async settle(channel: PublicKey, owed: number, precompile: TransactionInstruction): Promise<string> {
    return this.program.methods
      .settle(new BN(owed))
      .accountsPartial({
        recipient: this.recipient.publicKey,
        channel,
        recipientToken: this.recipientToken,
        tokenProgram: TOKEN_PROGRAM_ID,
        instructions: SYSVAR_INSTRUCTIONS_PUBKEY,
        delegation: NONE,
      })
      .preInstructions([precompile])
      .signers([this.recipient])
      .rpc();
  }

  async requestClose(channel: PublicKey): Promise<string> {
    return this.program.methods.requestClose().accountsPartial({ funder: this.funder, channel }).rpc();
  }

  /** Closes without a statement; `closer` is the wallet, unless it is given. */
  async close(channel: PublicKey, closer?: Keypair): Promise<string> {
    return this.program.methods
      .closeChannel()
      .accountsPartial({
        closer: closer?.publicKey ?? this.funder,
        channel,
        refundToken: this.funderToken,
        tokenProgram: TOKEN_PROGRAM_ID,
        payoutToken: NONE,
        instructions: NONE,
      })
      .signers(closer ? [closer] : [])
      .rpc();
  }

  /** The events of a transaction, decoded through the IDL. */
  async events(signature: string): Promise<{ name: string; data: any }[]> {
    const options = { commitment: "confirmed", maxSupportedTransactionVersion: 0 } as const;
    const parser = new EventParser(this.program.programId, this.program.coder);
    for (let tries = 0; tries < 100; tries += 1) {
      // a node shows a transaction a little later than it says that it is confirmed
      const found = await this.provider.connection.getTransaction(signature, options);
      if (found) return [...parser.parseLogs(found.meta?.logMessages ?? [])];
      await new Promise((resume) => setTimeout(resume, 100));
    }
    throw new Error(`no node shows transaction ${signature}`);
  }
}

/** The name in the IDL of the program's refusal. */
export async function refusal(act: Promise<unknown>): Promise<string> {
  try {
    await act;
  } catch (error) {
    if (error instanceof AnchorError) return error.error.errorCode.code;
    const parsed = AnchorError.parse((error as { logs?: string[] }).logs ?? []);
    if (parsed) return parsed.error.errorCode.code;
    throw error;
  }
  return "no refusal";
}

/** Does it again for as long as the program refuses it with `early`: the cluster's clock goes its own way. */
export async function whenNotTooEarly<T>(early: string, act: () => Promise<T>): Promise<T> {
  for (let tries = 0; ; tries += 1) {
    const done = act();
    if (tries === 100 || (await refusal(done)) !== early) return done;
    await new Promise((resume) => setTimeout(resume, 500));
  }
}
