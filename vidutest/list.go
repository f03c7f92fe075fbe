package vidutest

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"
)

// Limits of a list.
const (
	defaultPageSize = 10
	maxPageSize     = 100
	defaultSpan     = 7 * 24 * time.Hour // how far back it goes
)

// listReply is the body of the answer to a list.
type listReply struct {
	NextPageToken string     `json:"next_page_token"`
	Tasks         []listItem `json:"tasks"`
}

// listItem is a task in a list. It has fewer fields than the reply to a query: above all, no payload.
type listItem struct {
	ID          string     `json:"id"`
	KeyID       string     `json:"key_id"`
	Type        string     `json:"type"`
	Model       string     `json:"model"`
	Prompt      string     `json:"prompt"`
	Images      []string   `json:"images"`
	Duration    int        `json:"duration"`
	Resolution  string     `json:"resolution"`
	AspectRatio string     `json:"aspect_ratio"`
	State       string     `json:"state"`
	Creations   []creation `json:"creations"`
	CreatedAt   time.Time  `json:"created_at"`
	Credits     int        `json:"credits"`
}

// filter selects the tasks of a list. An empty slice matches everything.
type filter struct {
	from, to    time.Time // zero when there is no bound
	ids         []string
	states      []string
	models      []string
	resolutions []string

	page, size int
	below      int // the token of the page before, -1 without one
}

// list answers GET tasks.
func (s *Server) list(c *call) answer {
	f, refused := newFilter(c.URL.RawQuery)
	if refused != nil {
		return *refused
	}
	tasks, next := s.tasks.page(f)
	reply := listReply{Tasks: make([]listItem, len(tasks)), NextPageToken: next}
	for i, t := range tasks {
		reply.Tasks[i] = s.newListItem(t)
	}
	return success(reply)
}

func (s *Server) newListItem(t *task) listItem {
	state, _ := t.state()
	return listItem{
		ID:          t.id,
		KeyID:       "1",
		Type:        t.endpoint.taskType,
		Model:       t.request.Model,
		Prompt:      t.request.Prompt,
		Images:      t.request.Images,
		Duration:    t.request.Duration,
		Resolution:  t.request.Resolution,
		AspectRatio: t.request.AspectRatio,
		State:       state,
		Creations:   s.creations(t, state),
		CreatedAt:   t.createdAt,
		Credits:     t.charge(state),
	}
}

// newFilter reads the query of a list, or returns its refusal.
func newFilter(rawQuery string) (*filter, *answer) {
	q, err := url.ParseQuery(rawQuery)
	if err != nil {
		return nil, refuseField("BadRequest", "the query is malformed: "+err.Error())
	}
	f := &filter{
		from:        time.Now().Add(-defaultSpan),
		ids:         q["task_ids"],
		states:      q["states"],
		models:      q["model_versions"],
		resolutions: q["resolutions"],
		size:        defaultPageSize,
		below:       -1,
	}
	for _, wrong := range []string{
		setTime(&f.from, q, "created_at.from"),
		setTime(&f.to, q, "created_at.to"),
		setNumber(&f.page, q, "pager.page"),
		setNumber(&f.size, q, "pager.pagesz"),
		setNumber(&f.below, q, "pager.page_token"),
	} {
		if wrong != "" {
			return nil, refuseField("FieldInvalid", wrong)
		}
	}
	if f.size < 1 || f.size > maxPageSize {
		return nil, new(refuse(http.StatusBadRequest, "PageSizeOutOfRange", "pager.pagesz must be 1 to 100"))
	}
	return f, nil
}

// setTime parses a time of the query, if present, and returns what is wrong with it.
func setTime(target *time.Time, q url.Values, name string) (wrong string) {
	text := q.Get(name)
	if text == "" {
		return ""
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return name + " must be an RFC 3339 time"
	}
	*target = t
	return ""
}

// setNumber parses a number of the query, if present, and returns what is wrong with it.
func setNumber(target *int, q url.Values, name string) (wrong string) {
	text := q.Get(name)
	if text == "" {
		return ""
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return name + " is invalid"
	}
	*target = n
	return ""
}

// page returns the newest tasks that match a filter, and the token of the next page, "" if there is none. A token is an
// index: tasks are only added behind it, so it stays valid.
func (ts *tasks) page(f *filter) (page []*task, next string) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	ts.settle()
	below, skip := len(ts.all), f.size*min(f.page, len(ts.all))
	if f.below >= 0 {
		below, skip = min(f.below, len(ts.all)), 0
	}
	for i, t := range slices.Backward(ts.all[:below]) {
		switch {
		case !f.matches(t) || time.Since(t.createdAt) < ts.listDelay:
		case skip > 0:
			skip--
		case len(page) == f.size:
			return page, strconv.Itoa(i + 1)
		default:
			page = append(page, t)
		}
	}
	return page, ""
}

// matches reports whether a filter selects a task.
func (f *filter) matches(t *task) bool {
	state, _ := t.state()
	return !t.createdAt.Before(f.from) &&
		(f.to.IsZero() || !t.createdAt.After(f.to)) &&
		holds(f.ids, t.id) &&
		holds(f.states, state) &&
		holds(f.models, t.request.Model) &&
		holds(f.resolutions, t.request.Resolution)
}

func holds(wanted []string, value string) bool {
	return len(wanted) == 0 || slices.Contains(wanted, value)
}
