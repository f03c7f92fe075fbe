package vidu

import "sync"

// waiters are the waits of this process that a callback can wake.
type waiters struct {
	mu     sync.Mutex
	sleeps map[string]map[chan struct{}]struct{} // by task id
	fleets map[*fleet]struct{}
}

func newWaiters() *waiters {
	return &waiters{sleeps: map[string]map[chan struct{}]struct{}{}, fleets: map[*fleet]struct{}{}}
}

// add returns a channel that has something to receive once the task is worth a query, and what ends that.
func (w *waiters) add(id string) (wake <-chan struct{}, forget func()) {
	sleep := make(chan struct{}, 1)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.sleeps[id] == nil {
		w.sleeps[id] = map[chan struct{}]struct{}{}
	}
	w.sleeps[id][sleep] = struct{}{}
	return sleep, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if delete(w.sleeps[id], sleep); len(w.sleeps[id]) == 0 {
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
func (w *waiters) wake(id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for sleep := range w.sleeps[id] {
		ring(sleep)
	}
	for f := range w.fleets {
		f.wake(id)
	}
}

// ring leaves one wake-up in a channel with room for one.
func ring(bell chan<- struct{}) {
	select {
	case bell <- struct{}{}:
	default: // there is one already
	}
}

// wake is called when a callback says that the task has changed. The waits of this process then ask for it at once,
// and as long as callbacks arrive they rely on them.
func (c *Client) wake(id string) {
	c.pacer.hear()
	c.waiters.wake(id)
}
