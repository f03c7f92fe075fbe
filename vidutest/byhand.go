package vidutest

import "time"

// Task is a create that was accepted, as the server sees it now.
type Task struct {
	ID        string
	Endpoint  string // such as "img2video"
	Model     string
	Prompt    string
	Payload   string
	State     string // as in a query
	ErrCode   string // "" unless State is "failed"
	Credits   int    // charged for it: 0 once it has failed, which refunds it
	CreatedAt time.Time
}

// Tasks returns every task, the oldest first: one for each create that [Server.Charged] counts.
func (s *Server) Tasks() []Task {
	s.tasks.mu.Lock()
	defer s.tasks.mu.Unlock()
	s.tasks.settle()
	all := make([]Task, len(s.tasks.all))
	for i, t := range s.tasks.all {
		state, _ := t.state()
		all[i] = Task{
			ID:        t.id,
			Endpoint:  t.endpoint.name,
			Model:     t.request.Model,
			Prompt:    t.request.Prompt,
			Payload:   t.request.Payload,
			State:     state,
			ErrCode:   t.errCode(state),
			Credits:   t.charge(state),
			CreatedAt: t.createdAt,
		}
	}
	return all
}

// Finish ends a task at once with success, whatever time or a script have in store for it. It does nothing to a task
// that has ended, and panics when there is no such task. [Server.Hold] keeps a task from ending before.
func (s *Server) Finish(taskID string) {
	s.end("Finish", taskID, stateSuccess, "")
}

// Fail ends a task at once as failed, with code as its err_code. It is otherwise as [Server.Finish].
func (s *Server) Fail(taskID, code string) {
	s.end("Fail", taskID, stateFailed, code)
}

func (s *Server) end(method, taskID, outcome, code string) {
	t := s.tasks.get(taskID)
	if t == nil {
		panic("vidutest: " + method + ": there is no task " + taskID) //nolint:forbidigo // a mistake in the test
	}
	s.tasks.mu.Lock()
	defer s.tasks.mu.Unlock()
	t.stop(outcome, code)
}
