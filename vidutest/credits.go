package vidutest

import (
	"cmp"
	"time"
)

// accountCredits is what the account of a server holds before its first task. A negative balance is not refused.
const accountCredits = 1_000_000

// accountConcurrency is the documented limit of tasks that run at once. A server without a limit reports it, or the
// number of running tasks if that is more.
const accountConcurrency = 5

// creditsReply is the body of the answer to GET credits.
type creditsReply struct {
	Remains  []creditRemain  `json:"remains"`
	Packages []creditPackage `json:"packages"`
}

type creditRemain struct {
	Type               string `json:"type"`
	CreditRemain       int    `json:"credit_remain"`
	ConcurrencyLimit   int    `json:"concurrency_limit"`
	CurrentConcurrency int    `json:"current_concurrency"`
	QueueCount         int    `json:"queue_count"`
}

type creditPackage struct {
	ID           string    `json:"id"`
	Name         string    `json:"name"`
	Type         string    `json:"type"`
	Concurrency  int       `json:"concurrency"`
	CreditAmount int       `json:"credit_amount"`
	CreditRemain int       `json:"credit_remain"`
	CreatedAt    time.Time `json:"created_at"`
	PurchaseAt   time.Time `json:"purchase_at"`
	ValidFrom    time.Time `json:"valid_from"`
	ValidTo      time.Time `json:"valid_to"`
}

// credits answers GET credits: one package, bought when the server was made.
func (s *Server) credits(*call) answer {
	const kind = "metered"
	running, queueing, spent := s.tasks.sum()
	concurrency := cmp.Or(s.tasks.limit, max(accountConcurrency, running)) // what runs is never above it
	return success(creditsReply{
		Remains: []creditRemain{{
			Type:               kind,
			CreditRemain:       accountCredits - spent,
			ConcurrencyLimit:   concurrency,
			CurrentConcurrency: running,
			QueueCount:         queueing,
		}},
		Packages: []creditPackage{{
			ID:           "1",
			Name:         "vidutest",
			Type:         kind,
			Concurrency:  concurrency,
			CreditAmount: accountCredits,
			CreditRemain: accountCredits - spent,
			CreatedAt:    s.madeAt,
			PurchaseAt:   s.madeAt,
			ValidFrom:    s.madeAt,
			ValidTo:      s.madeAt.AddDate(1, 0, 0),
		}},
	})
}

// sum returns the numbers of running and queueing tasks, and the credits of all that have not failed.
func (ts *tasks) sum() (running, queueing, spent int) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	ts.settle()
	for _, t := range ts.all {
		state, _ := t.state()
		switch state {
		case stateCreated, stateQueueing:
			queueing++
		case stateProcessing:
			running++
		}
		spent += t.charge(state)
	}
	return running, queueing, spent
}
