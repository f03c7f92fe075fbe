package vidu

import "sync"

// waiters are the waits of this process that a callback can wake.
type waiters struct {
	mu     sync.Mutex
	next   int
	sleeps map[string]map[int]chan struct{} // by task id
	fleets map[*fleet]struct{}
}

func newWaiters() *waiters {
	return &waiters{sleeps: map[string]map[int]chan struct{}{}, fleets: map[*fleet]struct{}{}}
}

// add returns a channel that has something to receive once the task is worth a query, and what ends that.
func (w *waiters) add(id string) (<-chan struct{}, func()) {
	wake := make(chan struct{}, 1)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.next++
	n := w.next
	if w.sleeps[id] == nil {
		w.sleeps[id] = map[int]chan struct{}{}
	}
	w.sleeps[id][n] = wake
	return wake, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if delete(w.sleeps[id], n); len(w.sleeps[id]) == 0 {
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

// wake makes every wait for the task ask for it now.
func (w *waiters) wake(id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, sleep := range w.sleeps[id] {
		select {
		case sleep <- struct{}{}:
		default: // it has a wake-up already
		}
	}
	for f := range w.fleets {
		f.wake(id)
	}
}

// wake is called when a callback says that the task has changed. The waits of this process then ask for it at once,
// and as long as callbacks arrive they rely on them.
func (c *Client) wake(id string) {
	c.pacer.hear()
	c.waiters.wake(id)
}
