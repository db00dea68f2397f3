use proptest::prelude::*;

use super::*;

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

#[test]
fn a_bucket_empties_and_fills_again() {
    let bucket = Bucket::new(Rate::new(10, 3));
    let check = |cost, at| bucket.check(cost, Mono::at(at));
    for _ in 0..3 {
        assert_eq!(check(1, 7), Ok(()));
    }
    assert_eq!(check(1, 7), Err(Refused::RetryAfter(ms(100))));
    assert_eq!(check(1, 67), Err(Refused::RetryAfter(ms(40))), "a refusal takes nothing");
    assert_eq!(check(1, 107), Ok(()), "waiting as long as the refusal says is enough");
    assert_eq!(check(2, 107), Err(Refused::RetryAfter(ms(200))));
    assert_eq!(check(0, 107), Ok(()), "a free request passes");
    assert_eq!(check(3, 3_600_000), Ok(()));
    let refused = Err(Refused::RetryAfter(ms(100)));
    assert_eq!(check(1, 3_600_000), refused, "rest is not saved beyond the burst");
}

#[test]
fn requests_over_the_burst_never_pass() {
    let bucket = Bucket::new(Rate::new(10, 3));
    let later = Mono::at(3_600_000);
    assert_eq!(bucket.check(4, Mono::ZERO), Err(Refused::TooBig { burst: 3 }));
    assert_eq!(bucket.check(4, later), Err(Refused::TooBig { burst: 3 }));
    assert_eq!(bucket.check(3, later), Ok(()), "and takes nothing");
    assert_eq!(bucket.check(u32::MAX, later), Err(Refused::TooBig { burst: 3 }));
}

#[test]
fn zeros_count_as_one() {
    let bucket = Bucket::new(Rate::new(0, 0));
    assert_eq!(bucket.check(1, Mono::ZERO), Ok(()));
    assert_eq!(bucket.check(1, Mono::ZERO), Err(Refused::RetryAfter(Duration::from_secs(1))));
}

#[test]
fn extremes_do_not_overflow() {
    for rate in [Rate::new(1, u32::MAX), Rate::new(u32::MAX, u32::MAX), Rate::new(u32::MAX, 1)] {
        let bucket = Bucket::new(rate);
        let check = || bucket.check(rate.burst.get(), Mono::at(365 * 24 * 3_600_000));
        assert_eq!(check(), Ok(()), "{rate:?}");
        assert!(matches!(check(), Err(Refused::RetryAfter(_))), "{rate:?}");
    }
}

#[test]
fn a_bucket_is_small() {
    assert_eq!(size_of::<Bucket>(), 32);
}

#[test]
fn each_key_has_its_own_bucket() {
    let keyed = Keyed::new(Rate::new(1, 1));
    let check = |key, cost| keyed.check(&key, cost, Mono::at(5));
    assert_eq!(check("a", 1), Ok(()));
    assert_eq!(check("a", 1), Err(Refused::RetryAfter(Duration::from_secs(1))));
    assert_eq!(check("b", 1), Ok(()));
    assert_eq!(check("c", 2), Err(Refused::TooBig { burst: 1 }));
    assert_eq!(check("d", 0), Ok(()));
    assert_eq!(keyed.len(), 2, "a refused key is not remembered");
}

#[test]
fn cleaning_forgets_full_buckets_and_no_others() {
    let keyed = Keyed::new(Rate::new(1, 2));
    keyed.check(&"early", 2, Mono::ZERO).unwrap();
    keyed.check(&"late", 2, Mono::at(1500)).unwrap();
    keyed.clean(Mono::at(1500));
    assert_eq!(keyed.len(), 2);
    // A bucket is kept for one more token's time after it is full.
    keyed.clean(Mono::at(3000));
    assert_eq!(keyed.len(), 1);
    assert!(keyed.check(&"late", 2, Mono::at(3000)).is_err(), "a bucket that is not full is kept");
    keyed.clean(Mono::at(13_000));
    assert!(keyed.is_empty());
}

#[test]
fn keys_are_cleaned_without_being_asked() {
    let keyed: Keyed<u32> = Keyed::new(Rate::new(1000, 1));
    for key in 0..100_000 {
        keyed.check(&key, 1, Mono::at(key.into())).unwrap();
        assert!(
            keyed.len() <= 2 * Keyed::<u32>::UNCLEANED,
            "{} keys after {key} of a millisecond each",
            keyed.len()
        );
    }
}

proptest! {
    /// Compares with the definition: a level that rises evenly up to the burst.
    #[test]
    fn a_bucket_does_as_defined(steps in prop::collection::vec((0..400u64, 1..6u32), 1..60)) {
        let per_second = 10;
        let burst = 4;
        let bucket = Bucket::new(Rate::new(per_second, burst));
        let mut now = Mono::ZERO;
        // In thousandths of a token, of which a millisecond gives ten.
        let full = u64::from(burst) * 1000;
        let mut level = full;
        for (wait, cost) in steps {
            now = now.after(wait);
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
            prop_assert_eq!(bucket.check(cost, now), want);
        }
    }
}
