//! The budget never leaks and never overcommits.

use super::*;

#[test]
fn reservations_share_one_limit_and_give_back() {
    let budget = Budget::new(100);
    let mut first = Reservation::new(&budget);
    let mut second = Reservation::new(&budget);
    assert!(first.ensure(60));
    assert!(!second.ensure(41));
    assert_eq!((first.bytes(), second.bytes()), (60, 0));
    assert!(second.ensure(40));
    assert!(!budget.has_room_for(1));
    drop(first);
    assert_eq!(budget.used(), 40);
    assert!(second.ensure(100));
    drop(second);
    assert_eq!(budget.used(), 0);
}

#[test]
fn memory_that_exists_is_counted_beyond_the_limit() {
    let budget = Budget::new(10);
    let mut hold = Reservation::new(&budget);
    hold.settle(25);
    assert_eq!(budget.used(), 25);
    assert!(!budget.has_room_for(0));
    hold.settle(5);
    assert_eq!(budget.used(), 5);
}
