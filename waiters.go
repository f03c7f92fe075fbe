package vidu

import "sync"

// waiters are the waits of this process that a callback can wake.
type waiters struct {
	mu     sync.Mutex
	sleeps map[string]map[chan bool]struct{} // by task id
	fleets map[*fleet]struct{}
}

func newWaiters() *waiters {
	return &waiters{sleeps: map[string]map[chan bool]struct{}{}, fleets: map[*fleet]struct{}{}}
}

// add returns a channel that receives something once the task is worth a query, and what ends that. What it receives
// is true when the callback was genuine.
func (w *waiters) add(id string) (wake <-chan bool, forget func()) {
	bell := make(chan bool, 1)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.sleeps[id] == nil {
		w.sleeps[id] = map[chan bool]struct{}{}
	}
	w.sleeps[id][bell] = struct{}{}
	return bell, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if delete(w.sleeps[id], bell); len(w.sleeps[id]) == 0 {
			delete(w.sleeps, id)
		}
	}
}

func (w *waiters) addFleet(f *fleet) (forget func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fleets[f] = struct{}{}
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.fleets, f)
	}
}

// wake makes every wait for the task ask for it now. It never blocks.
func (w *waiters) wake(id string, genuine bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for bell := range w.sleeps[id] {
		ring(bell, genuine)
	}
	for f := range w.fleets {
		f.wake(id, genuine)
	}
}

// ring leaves one wake-up in a channel with room for one. A genuine one takes the place of another.
func ring(bell chan bool, genuine bool) {
	select {
	case bell <- genuine:
		return
	default: // there is one already
	}
	if !genuine {
		return
	}
	select {
	case <-bell:
	default:
	}
	select {
	case bell <- true:
	default:
	}
}
