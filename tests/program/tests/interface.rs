//! The SDK builds instructions without anchor; this holds them against what anchor made of the
//! program: ids, discriminators, account order and flags, error numbers, account layout.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::arithmetic_side_effects)]

use amp_embedded::program_path;
use amp_program_tests::{DEPOSIT, TERMS, World};
use amp_protocol::account::{ChannelAccount, DelegationAccount};
use amp_protocol::instruction;
use amp_protocol::money::Amount;
use amp_protocol::rejection::Rejection;
use amp_sdk::chain::{PROGRAM_ID, instructions};
use anchor_lang::Discriminator;
use serde_json::Value;
use solana_instruction::Instruction;
use solana_signer::Signer;

fn idl() -> Value {
    let path = program_path().with_file_name("../idl/amp.json");
    let text = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}; build it with `make program`", path.display()));
    serde_json::from_str(&text).unwrap()
}

fn find<'a>(list: &'a Value, name: &str) -> &'a Value {
    let mut entries = list.as_array().unwrap().iter();
    entries.find(|entry| entry["name"] == name).unwrap_or_else(|| panic!("{name} is not in the IDL"))
}

fn bytes(value: &Value) -> Vec<u8> {
    value.as_array().unwrap().iter().map(|byte| byte.as_u64().unwrap() as u8).collect()
}

#[test]
fn the_program_id_is_the_one_the_sdk_pins() {
    assert_eq!(amp::ID.to_bytes(), PROGRAM_ID.to_bytes());
    assert_eq!(idl()["address"], PROGRAM_ID.to_string());
}

#[test]
fn discriminators_and_arguments_are_anchors() {
    use anchor_lang::InstructionData;
    assert_eq!(instruction::OPEN_CHANNEL, amp::instruction::OpenChannel::DISCRIMINATOR);
    assert_eq!(instruction::REQUEST_CLOSE, amp::instruction::RequestClose::DISCRIMINATOR);
    assert_eq!(instruction::CLOSE_CHANNEL, amp::instruction::CloseChannel::DISCRIMINATOR);
    assert_eq!(instruction::settle(Amount::new(7)).to_vec(), amp::instruction::Settle { owed: 7 }.data());
    assert_eq!(instruction::top_up(Amount::new(7)).to_vec(), amp::instruction::TopUp { amount: 7 }.data());
    assert_eq!(instruction::REVOKE_DELEGATE, amp::instruction::RevokeDelegate::DISCRIMINATOR);
    assert_eq!(instruction::CLOSE_DELEGATION, amp::instruction::CloseDelegation::DISCRIMINATOR);
    let ours = instruction::set_delegate(Amount::new(7), -8);
    assert_eq!(ours.to_vec(), amp::instruction::SetDelegate { limit: 7, expires_at: -8 }.data());
    let ours = instruction::ChainChannel { owed: Amount::new(1), nonce: 2, terms: TERMS };
    let anchors = amp::instruction::ChainChannel {
        owed: 1,
        nonce: 2,
        unit_price: TERMS.unit_price,
        rate_limit: TERMS.rate_limit,
        settle_interval: TERMS.settle_interval,
        close_grace: TERMS.close_grace,
    };
    assert_eq!(ours.to_bytes().to_vec(), anchors.data());
    let ours = instruction::OpenChannel { nonce: 1, deposit: Amount::new(2), terms: TERMS };
    let anchors = amp::instruction::OpenChannel {
        nonce: 1,
        deposit: 2,
        unit_price: TERMS.unit_price,
        rate_limit: TERMS.rate_limit,
        settle_interval: TERMS.settle_interval,
        close_grace: TERMS.close_grace,
        max_chain_depth: TERMS.max_chain_depth,
    };
    assert_eq!(ours.to_bytes().to_vec(), anchors.data());
    assert_eq!(ChannelAccount::DISCRIMINATOR, amp::state::Channel::DISCRIMINATOR);
    assert_eq!(DelegationAccount::DISCRIMINATOR, amp::state::Delegation::DISCRIMINATOR);
}

#[test]
fn accounts_stand_in_the_programs_order_with_its_flags() {
    let world = World::default();
    let channel = world.open();
    let (keys, funder) = (channel.keys(), world.funder.pubkey());
    let delegated = channel.delegate();
    let cases: [(&str, Instruction); 9] = [
        ("open_channel", world.open_instruction(1, DEPOSIT, TERMS)),
        ("top_up", instructions::top_up(&keys, &funder, &world.funder_token, Amount::new(1))),
        ("settle", channel.settle_instruction_with(Some(&delegated.address), 1)),
        ("request_close", instructions::request_close(&PROGRAM_ID, &keys.channel, &funder)),
        ("close_channel", channel.close_instruction(&funder, Some(world.recipient_token))),
        ("set_delegate", delegated.set_instruction(1, 0)),
        ("revoke_delegate", delegated.revoke_instruction(&funder)),
        ("close_delegation", delegated.close_instruction()),
        (
            "chain_channel",
            channel.chain_instruction(&world.supplier.pubkey(), Some(delegated.address), 1, 0, TERMS),
        ),
    ];
    let idl = idl();
    assert_eq!(idl["instructions"].as_array().unwrap().len(), cases.len());
    for (name, ours) in cases {
        let theirs = find(&idl["instructions"], name);
        assert_eq!(bytes(&theirs["discriminator"]), &ours.data[..8], "{name}");
        let accounts = theirs["accounts"].as_array().unwrap();
        assert_eq!(accounts.len(), ours.accounts.len(), "{name}");
        let parsed = instruction::Parsed::parse(&ours.data).unwrap();
        let names: Vec<_> = accounts.iter().map(|account| account["name"].as_str().unwrap()).collect();
        assert_eq!((parsed.name(), parsed.account_names()), (name, &names[..]));
        for (account, meta) in accounts.iter().zip(&ours.accounts) {
            let flag = |flag: &str| account[flag].as_bool().unwrap_or_default();
            let label = format!("{name}: {}", account["name"]);
            assert_eq!((flag("signer"), flag("writable")), (meta.is_signer, meta.is_writable), "{label}");
            if let Some(address) = account["address"].as_str() {
                assert_eq!(address, meta.pubkey.to_string(), "{label}");
            }
        }
    }
}

#[test]
fn every_rejection_has_its_number_and_message_in_the_idl() {
    let idl = idl();
    let errors = idl["errors"].as_array().unwrap();
    assert_eq!(errors.len(), Rejection::ALL.len());
    for (error, rejection) in errors.iter().zip(Rejection::ALL) {
        assert_eq!(error["code"], rejection.error_number());
        assert_eq!(error["msg"], rejection.message());
        assert_eq!(u32::from(amp::error::AmpError::from(*rejection)), rejection.error_number());
    }
}

#[test]
fn events_of_every_state_change_are_in_the_idl() {
    let idl = idl();
    for event in [
        "ChannelOpened",
        "ToppedUp",
        "Settled",
        "CloseRequested",
        "ChannelClosed",
        "DelegateSet",
        "DelegateRevoked",
        "DelegationClosed",
        "ChannelChained",
    ] {
        find(&idl["events"], event);
    }
}
