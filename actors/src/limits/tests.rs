use governor::clock::FakeRelativeClock;
use proptest::prelude::*;

use super::*;

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

#[test]
fn a_bucket_empties_and_fills_again() {
    let clock = FakeRelativeClock::default();
    let bucket = Bucket::with_clock(Rate::new(10, 3), clock.clone());
    for _ in 0..3 {
        assert_eq!(bucket.check(1), Ok(()));
    }
    assert_eq!(bucket.check(1), Err(Refused::RetryAfter(ms(100))));
    clock.advance(ms(60));
    assert_eq!(bucket.check(1), Err(Refused::RetryAfter(ms(40))), "a refusal takes nothing");
    clock.advance(ms(40));
    assert_eq!(bucket.check(1), Ok(()), "waiting as long as told is enough");
    assert_eq!(bucket.check(2), Err(Refused::RetryAfter(ms(200))));
    assert_eq!(bucket.check(0), Ok(()), "what costs nothing passes");
    clock.advance(Duration::from_secs(3600));
    assert_eq!(bucket.check(3), Ok(()));
    assert_eq!(
        bucket.check(1),
        Err(Refused::RetryAfter(ms(100))),
        "rest is not saved beyond the burst"
    );
}

#[test]
fn what_is_over_the_burst_never_passes() {
    let clock = FakeRelativeClock::default();
    let bucket = Bucket::with_clock(Rate::new(10, 3), clock.clone());
    assert_eq!(bucket.check(4), Err(Refused::TooBig { burst: 3 }));
    clock.advance(Duration::from_secs(3600));
    assert_eq!(bucket.check(4), Err(Refused::TooBig { burst: 3 }));
    assert_eq!(bucket.check(3), Ok(()), "and takes nothing");
    assert_eq!(bucket.check(u32::MAX), Err(Refused::TooBig { burst: 3 }));
}

#[test]
fn zeros_count_as_one() {
    let bucket = Bucket::with_clock(Rate::new(0, 0), FakeRelativeClock::default());
    assert_eq!(bucket.check(1), Ok(()));
    assert_eq!(bucket.check(1), Err(Refused::RetryAfter(Duration::from_secs(1))));
}

#[test]
fn extremes_do_not_overflow() {
    for rate in [Rate::new(1, u32::MAX), Rate::new(u32::MAX, u32::MAX), Rate::new(u32::MAX, 1)] {
        let clock = FakeRelativeClock::default();
        let bucket = Bucket::with_clock(rate, clock.clone());
        clock.advance(Duration::from_secs(365 * 24 * 3600));
        assert_eq!(bucket.check(rate.burst.get()), Ok(()), "{rate:?}");
        assert!(matches!(bucket.check(rate.burst.get()), Err(Refused::RetryAfter(_))), "{rate:?}");
    }
}

#[test]
fn a_bucket_is_small() {
    assert_eq!(size_of::<Bucket>(), 32);
}

#[test]
fn the_default_clock_runs() {
    let bucket = Bucket::new(Rate::new(1, 1));
    assert_eq!(bucket.check(1), Ok(()));
    let Err(Refused::RetryAfter(wait)) = bucket.check(1) else { panic!("the bucket is empty") };
    assert!(wait <= Duration::from_secs(1), "{wait:?}");
}

#[test]
fn each_key_has_its_own_bucket() {
    let clock = FakeRelativeClock::default();
    let keyed = Keyed::with_clock(Rate::new(1, 1), clock.clone());
    assert_eq!(keyed.check(&"a", 1), Ok(()));
    assert_eq!(keyed.check(&"a", 1), Err(Refused::RetryAfter(Duration::from_secs(1))));
    assert_eq!(keyed.check(&"b", 1), Ok(()));
    assert_eq!(keyed.check(&"c", 2), Err(Refused::TooBig { burst: 1 }));
    assert_eq!(keyed.check(&"d", 0), Ok(()));
    assert_eq!(keyed.len(), 2, "what was not let in is not remembered");
}

#[test]
fn cleaning_forgets_full_buckets_and_no_others() {
    let clock = FakeRelativeClock::default();
    let keyed = Keyed::with_clock(Rate::new(1, 2), clock.clone());
    keyed.check(&"early", 2).unwrap();
    clock.advance(ms(1500));
    keyed.check(&"late", 2).unwrap();
    keyed.clean();
    assert_eq!(keyed.len(), 2);
    // A bucket is kept for one more token's time after it is full.
    clock.advance(ms(1500));
    keyed.clean();
    assert_eq!(keyed.len(), 1);
    assert!(keyed.check(&"late", 2).is_err(), "a bucket that is not full is kept");
    clock.advance(ms(10_000));
    keyed.clean();
    assert!(keyed.is_empty());
}

#[test]
fn keys_are_cleaned_without_being_asked() {
    let clock = FakeRelativeClock::default();
    let keyed: Keyed<u32, _> = Keyed::with_clock(Rate::new(1000, 1), clock.clone());
    for key in 0..100_000 {
        keyed.check(&key, 1).unwrap();
        clock.advance(ms(1));
        assert!(
            keyed.len() <= 2 * Keyed::<u32>::UNCLEANED,
            "{} keys after {key} of a millisecond each",
            keyed.len()
        );
    }
}

proptest! {
    /// Against the definition: a level that rises evenly up to the burst.
    #[test]
    fn a_bucket_does_as_defined(steps in prop::collection::vec((0..400u64, 1..6u32), 1..60)) {
        let (per_second, burst) = (10, 4);
        let clock = FakeRelativeClock::default();
        let bucket = Bucket::with_clock(Rate::new(per_second, burst), clock.clone());
        // In thousandths of a token, of which a millisecond gives ten.
        let full = u64::from(burst) * 1000;
        let mut level = full;
        for (wait, cost) in steps {
            clock.advance(ms(wait));
            level = (level + wait * u64::from(per_second)).min(full);
            let wanted = u64::from(cost) * 1000;
            let want = if cost > burst {
                Err(Refused::TooBig { burst })
            } else if wanted > level {
                Err(Refused::RetryAfter(ms((wanted - level).div_ceil(u64::from(per_second)))))
            } else {
                level -= wanted;
                Ok(())
            };
            prop_assert_eq!(bucket.check(cost), want);
        }
    }
}
