//! Who may take back what sessions are told.

use super::*;

#[tokio::test]
async fn a_stop_sends_clients_elsewhere_whatever_the_node_hears() {
    let shutdown = Shutdown::new();
    let mut farewell = shutdown.0.subscribe();
    let (show, view) = watch::channel(View::default());
    let watching = tokio::spawn(shutdown.clone().send_away_while_cut_off(view));
    for cut_off in [true, false, true] {
        show.send_modify(|view| view.cut_off = cut_off);
        let due = if cut_off { Farewell::CutOff } else { Farewell::NotYet };
        farewell.wait_for(|farewell| *farewell == due).await.unwrap();
    }
    shutdown.0.send_replace(Farewell::Elsewhere);
    show.send_modify(|view| view.cut_off = false);
    drop(show);
    watching.await.unwrap();
    assert_eq!(*farewell.borrow(), Farewell::Elsewhere);
}
