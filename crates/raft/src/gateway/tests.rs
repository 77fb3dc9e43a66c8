//! What becomes of commands whose deadline passes.

use bytes::Bytes;
use streams::command::{Add, AddId};

use super::*;

type Answer = oneshot::Receiver<Outcome>;

/// A command of about a thousand bytes that was sent so often.
fn slot(sent: u32, deadline: Instant) -> (Slot, Answer) {
    let add = Add {
        key: Bytes::from_static(b"k"),
        id: AddId::Auto,
        fields: vec![Bytes::from_static(b"f"), Bytes::from(vec![0; 1000])],
        must_exist: false,
        trim: None,
        once: None,
    };
    let command = Command::Add(add);
    let bytes = command_bytes(&command);
    let (answer, waiter) = oneshot::channel();
    let held = bytes + WAITING_BYTES;
    (Slot { command, bytes, held, waiter: Some(answer), deadline, sent, answered: false }, waiter)
}

#[tokio::test]
async fn what_was_sent_keeps_its_number_and_what_was_not_goes_and_frees_its_bytes() {
    let now = Instant::now();
    let later = now + Duration::from_secs(1);
    let made = [slot(1, now), slot(0, now), slot(0, now), slot(0, now), slot(0, later)];
    let (mut slots, answers): (VecDeque<Slot>, Vec<Answer>) = made.into_iter().unzip();
    let one = slots[0].bytes;
    let void = command_bytes(&Command::Void);
    // The first two numbers are known to others, though the second was surely refused.
    let freed = expire_slots(&mut slots, 2, now);
    assert_eq!(freed, 2 * (one - void) + 2 * one + 4 * WAITING_BYTES);
    assert_eq!(slots.iter().map(|slot| slot.bytes).collect::<Vec<_>>(), [void, void, one]);
    assert!(slots.iter().take(2).all(|slot| slot.command == Command::Void));
    let answers: Vec<_> = answers.into_iter().map(|mut answer| answer.try_recv().ok()).collect();
    let (unknown, expired) = (Err(ProposeError::Unknown), Err(ProposeError::Expired));
    assert_eq!(
        answers,
        [Some(unknown), Some(expired.clone()), Some(expired.clone()), Some(expired), None]
    );
    // Once answered, nothing is freed or answered again.
    assert_eq!(expire_slots(&mut slots, 2, now), 0);
    assert_eq!(slots.len(), 3);
}

#[tokio::test]
async fn commands_that_wait_count_with_what_is_held_for_them_and_more_are_refused() {
    let room_for = 3;
    let command = || slot(0, Instant::now()).0.command;
    let each = command_bytes(&command()) + WAITING_BYTES;
    let (handle, mut work) = Handle::new(Budget::new(room_for * each));
    let ask = || {
        let (answer, outcome) = oneshot::channel();
        handle.write(command(), answer);
        outcome
    };
    let mut outcomes: Vec<Answer> = (0..=room_for).map(|_| ask()).collect();
    let refused = outcomes.pop().and_then(|mut last| last.try_recv().ok());
    assert!(matches!(refused, Some(Err(ProposeError::Overloaded(_)))), "{refused:?}");
    assert!(outcomes.iter_mut().all(|one| one.try_recv().is_err()), "the others wait");
    assert!((0..room_for).all(|_| work.try_recv().is_ok()));
}
