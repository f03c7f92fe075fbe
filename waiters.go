package vidu

import "sync"

// waiters are the waits of this process that a callback can wake: functions that must not block.
type waiters struct {
	mu    sync.Mutex
	byID  map[string]map[*func(genuine bool)]struct{} // of those that wait for one task
	multi map[*multiWaiter]struct{}                   // those that wait for many, called for every id
}

// multiWaiter is a wait for many tasks.
type multiWaiter struct {
	wake func(id string, genuine bool)
	has  func(id string) bool
}

func newWaiters() *waiters {
	return &waiters{
		byID:  map[string]map[*func(bool)]struct{}{},
		multi: map[*multiWaiter]struct{}{},
	}
}

// add registers what a callback for one task calls, until remove is called.
func (w *waiters) add(id string, wake func(genuine bool)) (remove func()) {
	key := &wake
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.byID[id] == nil {
		w.byID[id] = map[*func(bool)]struct{}{}
	}
	w.byID[id][key] = struct{}{}
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if delete(w.byID[id], key); len(w.byID[id]) == 0 {
			delete(w.byID, id)
		}
	}
}

// addMulti registers what a callback for any task calls, until remove is called.
func (w *waiters) addMulti(key *multiWaiter) (remove func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.multi[key] = struct{}{}
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.multi, key)
	}
}

// wake is called for a callback, which is genuine if its signature was verified: every wait for the task queries it
// now.
func (w *waiters) wake(id string, genuine bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for wake := range w.byID[id] {
		(*wake)(genuine)
	}
	for many := range w.multi {
		many.wake(id, genuine)
	}
}

// waitFor reports whether anyone waits for the task.
func (w *waiters) waitFor(id string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	found := len(w.byID[id]) > 0
	for many := range w.multi {
		found = found || many.has(id)
	}
	return found
}
