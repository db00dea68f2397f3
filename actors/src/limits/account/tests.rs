use std::net::Ipv4Addr;

use super::*;

const SECOND: u64 = 1_000_000_000;

fn allowance() -> Allowance {
    Allowance { requests: Rate::new(10, 3), wakes: Rate::new(2, 4), awake: 32 }
}

fn accounts() -> Accounts {
    Accounts::alike(allowance())
}

fn address(last: u8) -> IpAddr {
    Ipv4Addr::new(192, 0, 2, last).into()
}

fn ms(ms: u64) -> Result<(), Refused> {
    Err(Refused::RetryAfter(Duration::from_millis(ms)))
}

#[test]
fn a_tab_fills_evenly_and_can_be_overdrawn() {
    let (tab, rate) = (Tab::default(), Rate::new(10, 3));
    assert_eq!([(); 4].map(|()| tab.check(rate, 1, SECOND)), [Ok(()), Ok(()), Ok(()), ms(100)]);
    assert_eq!(
        tab.check(rate, 1, SECOND + SECOND / 10),
        Ok(()),
        "waiting as long as told is enough"
    );
    assert_eq!(tab.check(rate, 4, 100 * SECOND), Err(Refused::TooBig { burst: 3 }));

    tab.charge(rate, 13, 10 * SECOND);
    assert_eq!(tab.check(rate, 1, 10 * SECOND), ms(1100), "ten more than the burst are owed");
    assert_eq!(tab.check(rate, 1, 11 * SECOND + SECOND / 10), Ok(()));
    tab.charge(rate, u32::MAX, 20 * SECOND);
    assert_eq!(tab.check(rate, 1, 20 * SECOND), ms(30_100), "no debt lasts for ever");
    assert!(!tab.is_full(50 * SECOND) && tab.is_full(51 * SECOND));
}

#[test]
fn anonymous_users_of_one_address_are_one_payer() {
    let accounts = accounts();
    let [one, other, elsewhere] = [1, 1, 2].map(|last| accounts.payer(None, address(last)));
    for payer in [&one, &other, &one] {
        assert_eq!(payer.account().request(1), Ok(()));
    }
    assert!(other.account().request(1).is_err(), "it is spent");
    assert_eq!(elsewhere.account().request(1), Ok(()));

    let alice = accounts.payer(Some(&"alice".into()), address(1));
    assert_eq!(
        alice.account().request(3),
        Ok(()),
        "a user has its own account, wherever it comes from"
    );
    assert!(accounts.payer(Some(&"alice".into()), address(9)).account().request(1).is_err());
}

#[test]
fn waking_is_paid_by_the_user_and_by_the_address() {
    let accounts = accounts();
    let (alice, bob) = (
        accounts.payer(Some(&"alice".into()), address(1)),
        accounts.payer(Some(&"bob".into()), address(1)),
    );
    let kept: Vec<_> =
        [&alice, &alice, &alice, &bob].map(|payer| payer.wake_at(false, SECOND).unwrap()).into();
    assert_eq!((alice.own.awake(), bob.own.awake()), (3, 1));
    let refused = bob.wake_at(false, SECOND).unwrap_err();
    assert_eq!(refused, NotWoken::TooFast(Duration::from_millis(500)), "the address has no more");
    assert_eq!(bob.own.awake(), 1, "what was not woken is not counted");
    let elsewhere = accounts.payer(Some(&"bob".into()), address(2));
    let more: Vec<_> = (0..3).map(|_| elsewhere.wake_at(false, SECOND).unwrap()).collect();
    assert_eq!(bob.own.awake(), 4, "nor paid for");
    drop((kept, more));
    assert_eq!((alice.own.awake(), bob.own.awake()), (0, 0));
}

#[test]
fn nobody_keeps_many_awake_and_few_are_left_to_everybody() {
    let accounts = accounts();
    let payer = accounts.payer(None, address(1));
    let kept: Vec<_> = (0..32).map(|turn| payer.wake_at(false, turn * SECOND).unwrap()).collect();
    assert_eq!(payer.wake_at(false, 100 * SECOND).unwrap_err(), NotWoken::TooMany);
    let newcomer = accounts.payer(None, address(2));
    let few: Vec<_> = (0..2).map(|_| newcomer.wake_at(true, SECOND).unwrap()).collect();
    assert_eq!(newcomer.wake_at(true, SECOND).unwrap_err(), NotWoken::TooMany);
    drop((kept, few));
    assert!(payer.wake_at(false, 100 * SECOND).is_ok());
}

#[test]
fn who_has_many_is_relieved_of_what_others_use() {
    let accounts = accounts();
    let (busy, other) =
        (accounts.payer(None, address(1)), accounts.payer(Some(&"bob".into()), address(2)));
    let mut kept: Vec<_> =
        (0..15).map(|turn| busy.wake_at(false, turn * SECOND).unwrap()).collect();
    kept[0].offer(&other);
    assert_eq!((busy.own.awake(), other.own.awake()), (15, 0), "it has not many yet");
    kept.push(busy.wake_at(false, 50 * SECOND).unwrap());
    kept[0].offer(&busy);
    kept[0].offer(&other);
    assert_eq!((busy.own.awake(), other.own.awake()), (15, 1));
    drop(kept);
    assert_eq!((busy.own.awake(), other.own.awake()), (0, 0));
}

#[test]
fn accounts_are_kept_while_they_matter() {
    let accounts = accounts();
    let now = now();
    let acted_for = accounts.payer(None, address(1));
    accounts.payer(None, address(2)).own.charge(100);
    drop(accounts.payer(Some(&"alice".into()), address(3)));
    let kept = accounts.payer(None, address(4)).wake_at(false, now).unwrap();
    accounts.open.lock().unwrap().clean(now + 2 * SECOND);
    assert_eq!(accounts.len(), 3, "one is acted for, one is in debt, one keeps an entity awake");
    drop((acted_for, kept));
    accounts.open.lock().unwrap().clean(now + 100 * SECOND);
    assert!(accounts.is_empty());
    (0..3 * UNCLEANED)
        .for_each(|user| drop(accounts.payer(Some(&user.to_string().into()), address(1))));
    assert!(accounts.len() <= UNCLEANED + 1, "{}", accounts.len());
}

#[test]
fn a_small_limit_is_not_none_when_places_run_out() {
    let accounts = Accounts::alike(Allowance { awake: 1, ..allowance() });
    let payer = accounts.payer(None, address(1));
    let kept = payer.wake_at(true, SECOND);
    assert!(kept.is_ok());
    assert!(matches!(payer.wake_at(true, SECOND), Err(NotWoken::TooMany)));
}
