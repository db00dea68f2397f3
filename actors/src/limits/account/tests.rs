use std::net::Ipv4Addr;

use proptest::prelude::*;

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
fn work_begins_into_debt_and_only_a_debt_holds_it_up() {
    let rate = Rate::new(10, 3);
    let tab = Tab::default();
    let wait = |ms| Err(Duration::from_millis(ms));
    assert_eq!(tab.take(rate, 3, SECOND), Ok(()), "the bucket is empty");
    assert_eq!(tab.begin(rate, 20, 0, SECOND), Ok(()), "which is no debt");
    assert_eq!(tab.begin(rate, 1, 0, SECOND), wait(2000));
    assert_eq!(tab.begin(rate, 1, 6, SECOND), wait(200), "six buckets are 18 tokens");
    assert_eq!(tab.begin(rate, 1, 7, SECOND), Ok(()), "and seven 21");
    assert_eq!(tab.begin(rate, 1, 0, SECOND), wait(2100), "what was refused was not charged");
    assert_eq!(tab.begin(rate, u32::MAX, 0, 4 * SECOND), Ok(()), "the debt is paid");
    assert_eq!(tab.begin(rate, 1, 0, 4 * SECOND), wait(30_000), "no debt takes longer");
}

#[test]
fn a_tab_fills_evenly_and_can_be_overdrawn() {
    let tab = Tab::default();
    let rate = Rate::new(10, 3);
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
    let [one, other, elsewhere] =
        [1, 1, 2].map(|last| accounts.payer(None, address(last), Mono::ZERO));
    for payer in [&one, &other, &one] {
        assert_eq!(payer.account().request(1, Mono::ZERO), Ok(()));
    }
    assert!(other.account().request(1, Mono::ZERO).is_err(), "it is spent");
    assert_eq!(elsewhere.account().request(1, Mono::ZERO), Ok(()));

    let alice = accounts.payer(Some(&"alice".into()), address(1), Mono::ZERO);
    assert_eq!(
        alice.account().request(3, Mono::ZERO),
        Ok(()),
        "a user has its own account, wherever it comes from"
    );
    assert!(
        accounts
            .payer(Some(&"alice".into()), address(9), Mono::ZERO)
            .account()
            .request(1, Mono::ZERO)
            .is_err()
    );
}

#[test]
fn waking_is_paid_by_the_user_and_by_the_address() {
    let accounts = accounts();
    let alice = accounts.payer(Some(&"alice".into()), address(1), Mono::ZERO);
    let bob = accounts.payer(Some(&"bob".into()), address(1), Mono::ZERO);
    let kept: Vec<_> = [&alice, &alice, &alice, &bob]
        .map(|payer| payer.wake(Space::Ample, Mono::at(1000)).unwrap())
        .into();
    assert_eq!((alice.own.awake(), bob.own.awake()), (3, 1));
    let refused = bob.wake(Space::Ample, Mono::at(1000)).unwrap_err();
    assert_eq!(refused, NotWoken::TooFast(Duration::from_millis(500)), "the address has no more");
    assert_eq!(bob.own.awake(), 1, "an entity that was not woken is not counted");
    let elsewhere = accounts.payer(Some(&"bob".into()), address(2), Mono::ZERO);
    let more: Vec<_> =
        (0..3).map(|_| elsewhere.wake(Space::Ample, Mono::at(1000)).unwrap()).collect();
    assert_eq!(bob.own.awake(), 4, "nor paid for");
    drop((kept, more));
    assert_eq!((alice.own.awake(), bob.own.awake()), (0, 0));
}

#[test]
fn a_share_of_the_awake_entities_is_reserved_for_modest_payers() {
    let accounts = accounts();
    let payer = accounts.payer(None, address(1), Mono::ZERO);
    let kept: Vec<_> =
        (0..32).map(|turn| payer.wake(Space::Ample, Mono::at(turn * 1000)).unwrap()).collect();
    assert_eq!(payer.wake(Space::Ample, Mono::at(100_000)).unwrap_err(), NotWoken::TooMany);
    let newcomer = accounts.payer(None, address(2), Mono::ZERO);
    let few: Vec<_> =
        (0..2).map(|_| newcomer.wake(Space::Scarce, Mono::at(1000)).unwrap()).collect();
    assert_eq!(newcomer.wake(Space::Scarce, Mono::at(1000)).unwrap_err(), NotWoken::TooMany);
    drop((kept, few));
    assert!(payer.wake(Space::Ample, Mono::at(100_000)).is_ok());
}

#[test]
fn entities_that_others_use_are_taken_over_from_payers_with_many() {
    let accounts = accounts();
    let busy = accounts.payer(None, address(1), Mono::ZERO);
    let other = accounts.payer(Some(&"bob".into()), address(2), Mono::ZERO);
    let mut kept: Vec<_> =
        (0..15).map(|turn| busy.wake(Space::Ample, Mono::at(turn * 1000)).unwrap()).collect();
    kept[0].offer(&other);
    assert_eq!((busy.own.awake(), other.own.awake()), (15, 0), "it has not many yet");
    kept.push(busy.wake(Space::Ample, Mono::at(50_000)).unwrap());
    kept[0].offer(&busy);
    kept[0].offer(&other);
    assert_eq!((busy.own.awake(), other.own.awake()), (15, 1));
    drop(kept);
    assert_eq!((busy.own.awake(), other.own.awake()), (0, 0));
}

#[test]
fn accounts_are_kept_while_they_matter() {
    let clock = Clock::manual();
    clock.set(Mono::at(5000));
    let accounts = accounts().with_clock(clock);
    let now = 5 * SECOND;
    let acted_for = accounts.payer(None, address(1), Mono::ZERO);
    accounts.payer(None, address(2), Mono::ZERO).own.charge(100);
    drop(accounts.payer(Some(&"alice".into()), address(3), Mono::ZERO));
    let kept =
        accounts.payer(None, address(4), Mono::ZERO).wake(Space::Ample, Mono::at(5000)).unwrap();
    accounts.open.lock().unwrap().clean(now + 2 * SECOND);
    assert_eq!(accounts.len(), 3, "one is in use, one is in debt, one keeps an entity awake");
    drop((acted_for, kept));
    accounts.open.lock().unwrap().clean(now + 100 * SECOND);
    assert!(accounts.is_empty());
    for user in 0..3 * UNCLEANED {
        drop(accounts.payer(Some(&user.to_string().into()), address(1), Mono::ZERO));
    }
    assert!(accounts.len() <= UNCLEANED + 1, "{}", accounts.len());
}

#[test]
fn a_small_limit_is_not_none_when_places_run_out() {
    let accounts = Accounts::alike(Allowance { awake: 1, ..allowance() });
    let payer = accounts.payer(None, address(1), Mono::ZERO);
    let kept = payer.wake(Space::Scarce, Mono::at(1000));
    assert!(kept.is_ok());
    assert!(matches!(payer.wake(Space::Scarce, Mono::at(1000)), Err(NotWoken::TooMany)));
}

#[test]
fn who_uses_more_than_a_quarter_of_the_limit_is_reported() {
    let allowance = Allowance { requests: Rate::new(8, 100), ..allowance() };
    let accounts = Accounts::alike(allowance).with_clock(Clock::manual());
    let payer = |user: &str| accounts.payer(Some(&user.into()), address(1), Mono::ZERO);
    let reported = |most| {
        let all = accounts.heaviest(most);
        all.iter().map(|used| format!("{} {}", used.user, used.tokens)).collect::<Vec<_>>()
    };
    let (alice, bob, carol) = (payer("alice"), payer("bob"), payer("carol"));
    alice.account().request(50, Mono::ZERO).unwrap();
    assert!(reported(9).is_empty(), "nobody counts before the first report");
    alice.account().request(2, Mono::ZERO).unwrap();
    bob.account().request(2, Mono::ZERO).unwrap();
    bob.account().charge(5);
    carol.account().begin(3, 0, Mono::ZERO).unwrap();
    accounts.payer(None, address(2), Mono::ZERO).account().request(9, Mono::ZERO).unwrap();
    assert_eq!(reported(9), ["bob 7", "carol 3"]);
    assert!(reported(9).is_empty());
    alice.account().request(60, Mono::ZERO).unwrap_err();
    carol.account().request(3, Mono::ZERO).unwrap();
    bob.account().request(4, Mono::ZERO).unwrap();
    assert_eq!(reported(1), ["bob 4"], "what was refused was not used");

    let elsewhere = Used { user: "carol".into(), tokens: 96 };
    accounts.used_elsewhere(&elsewhere, Mono::ZERO);
    assert!(carol.account().request(1, Mono::ZERO).is_err());
    assert!(reported(9).is_empty(), "what others report is not reported to them");
    accounts.used_elsewhere(&Used { user: "dave".into(), tokens: 9 }, Mono::ZERO);
    assert_eq!(accounts.len(), 5, "three users, two addresses");
}

proptest! {
    /// However a user spreads its requests over nodes and time, together they let it do no more than
    /// the limit, a quarter of it for each further node, and on each a burst and one second.
    #[test]
    fn nodes_share_a_limit(
        nodes in 1_usize..6,
        (limit, burst) in (4_u32..200).prop_flat_map(|limit| (Just(limit), 1..=4 * limit)),
        seconds in proptest::collection::vec(
            proptest::collection::vec((0_usize..6, 0_u64..1000, 1_u32..300), 0..60),
            1..40,
        ),
    ) {
        let allowance = Allowance { requests: Rate::new(limit, burst), ..allowance() };
        let all: Vec<_> = (0..nodes).map(|_| Accounts::alike(allowance)).collect();
        let payers: Vec<_> = all
            .iter()
            .map(|accounts| accounts.payer(Some(&"alice".into()), address(1), Mono::ZERO))
            .collect();
        let report = |now| {
            let reports: Vec<_> = all.iter().map(|accounts| accounts.heaviest(9)).collect();
            for (from, used) in reports.iter().enumerate() {
                for (to, accounts) in all.iter().enumerate() {
                    if from != to {
                        used.iter().for_each(|used| accounts.used_elsewhere(used, now));
                    }
                }
            }
        };
        report(Mono::ZERO);
        let mut done = 0;
        for (second, requests) in seconds.iter().enumerate() {
            let mut requests = requests.clone();
            requests.sort_unstable_by_key(|(_, at, _)| *at);
            for (node, at, times) in requests {
                let now = Mono::at(second as u64 * 1000 + at);
                let account = payers[node % nodes].account();
                done += (0..times).take_while(|_| account.request(1, now).is_ok()).count() as u64;
            }
            report(Mono::at((second as u64 + 1) * 1000));
        }
        let (limit, burst) = (u64::from(limit), u64::from(burst));
        let (nodes, seconds) = (nodes as u64, seconds.len() as u64);
        let most = limit * seconds + (nodes - 1) * limit * seconds / 4 + nodes * (burst + limit);
        prop_assert!(done <= most, "{done} of {most}");
    }
}
