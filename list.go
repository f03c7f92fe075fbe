package vidu

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/vidu-go/vidu/internal/lenientjson"
)

const (
	maxListReply = 64 << 20
	maxListRaw   = 64 << 10 // of one listed task; a longer text is inline media
	maxListed    = 1000     // tasks of one page; the server's own limit is 100
	maxPages     = 50
	maxPageSize  = 100
)

// ListTasksRequest selects tasks. A zero field does not restrict them, From and To apart.
type ListTasksRequest struct {
	From, To    time.Time    // bounds of CreatedAt; zero is the server's default, the last 7 days
	TaskIDs     []string     // tasks with one of these ids
	States      []State      // tasks in one of these states
	Models      []Model      // tasks for one of these models
	Resolutions []Resolution // videos of one of these sizes
	Page        int          // counted from 0; ignored with a PageToken, which is the way through all pages
	PageSize    int          // tasks per page: 0 is the server's default, 10; more than 100 is refused by the server
	PageToken   string       // the NextPageToken of the page before
}

var errTooManyPages = fmt.Errorf("vidu: list tasks: more than %d pages; narrow the time", maxPages)

// TaskPage is one page of a list.
type TaskPage struct {
	Tasks         []*Task // listed tasks have no Payload; RawJSON is nil where the text exceeds 64 KiB
	NextPageToken string  // "" on the last page
}

// ListTasks returns one page of the account's tasks. It is free and part of the official API; elsewhere it fails with
// [ErrNotSupported]. A nil req is a zero one. Source: the list page of platform.vidu.com.
func (c *Client) ListTasks(ctx context.Context, req *ListTasksRequest) (*TaskPage, error) {
	if req == nil {
		req = &ListTasksRequest{}
	}
	var page *TaskPage
	err := c.call(ctx, &request{operation: "list tasks", method: http.MethodGet, path: "/tasks", query: req.query(), limit: maxListReply},
		func(a *attempt) (err error) {
			page, err = decodePage(ctx, a.reply())
			return err
		})
	if err != nil {
		return nil, unsupported(err)
	}
	for _, task := range page.Tasks {
		maskTask(task, c.redact)
	}
	return page, nil
}

func (r *ListTasksRequest) query() string {
	q := url.Values{}
	setTime := func(name string, t time.Time) {
		if !t.IsZero() {
			q.Set(name, t.UTC().Format(time.RFC3339))
		}
	}
	setTime("created_at.from", r.From)
	setTime("created_at.to", r.To)
	q["task_ids"] = r.TaskIDs
	addAll(q, "states", r.States)
	addAll(q, "model_versions", r.Models)
	addAll(q, "resolutions", r.Resolutions)
	if r.Page > 0 {
		q.Set("pager.page", strconv.Itoa(r.Page))
	}
	if r.PageSize > 0 {
		q.Set("pager.pagesz", strconv.Itoa(r.PageSize))
	}
	if r.PageToken != "" {
		q.Set("pager.page_token", r.PageToken)
	}
	return q.Encode()
}

func addAll[S ~string](q url.Values, name string, values []S) {
	for _, v := range values {
		q.Add(name, string(v))
	}
}

// decodePage reads a list, which may be long, for a caller who is still there.
func decodePage(ctx context.Context, reply string) (*TaskPage, error) {
	if err := cmp.Or(stillWanted(ctx, reply), checkReply(reply), stillWanted(ctx, reply)); err != nil {
		return nil, err
	}
	list := lenientjson.Value(reply)
	if inner := list.Member("data"); inner.IsObject() && list.Member("tasks") == "" {
		list = inner
	}
	tasks := list.Member("tasks")
	if !tasks.IsArray() && !tasks.IsNull() || tasks == "" && !isEmptyPage(list) {
		return nil, fmt.Errorf("%w: it is not a task list", errBadReply)
	}
	page := &TaskPage{NextPageToken: list.Member("next_page_token").Str()}
	listed := 0
	for it := tasks.Items(); it.Next(); listed++ {
		if listed == maxListed {
			return nil, fmt.Errorf("%w: it lists more than %d tasks", errBadReply, maxListed)
		}
		if task := decodeListed(string(it.Value())); task != nil { // one bad task must not hide the others
			page.Tasks = append(page.Tasks, task)
		}
	}
	return page, nil
}

// decodeListed reads one task of a page, which it does not keep alive. It returns nil for one without a usable id.
func decodeListed(record string) *Task {
	var d taskDecoder
	if len(record) <= maxListRaw {
		record = strings.Clone(record)
	}
	d.readTask(record)
	if d.id == "" || d.oddID || d.twoIDs {
		return nil
	}
	task := d.task()
	if len(record) > maxListRaw {
		task.raw = ""
		detach(reflect.ValueOf(task).Elem())
	}
	return task
}

// detach gives the texts in a value memory of their own, so that they do not keep alive what they were read from.
func detach(v reflect.Value) {
	switch v.Kind() { //nolint:exhaustive // others hold no text
	case reflect.String:
		v.SetString(strings.Clone(v.String()))
	case reflect.Slice:
		for i := range v.Len() {
			detach(v.Index(i))
		}
	case reflect.Struct:
		for field, value := range v.Fields() {
			if field.IsExported() {
				detach(value)
			}
		}
	}
}

// isEmptyPage reports whether an object without "tasks" is an empty list, as some servers write it.
func isEmptyPage(list lenientjson.Value) bool {
	for it := list.Items(); it.Next(); {
		switch it.Key() {
		case "next_page_token", "total":
		default:
			return false
		}
	}
	return true
}

// AllTasks lists the tasks that req selects, page after page, and ends with an error after 50 pages: narrow the time
// then. A zero PageSize means 100 here, so 5000 tasks.
func (c *Client) AllTasks(ctx context.Context, req *ListTasksRequest) iter.Seq2[*Task, error] {
	return func(yield func(*Task, error) bool) {
		next := ListTasksRequest{}
		if req != nil {
			next = *req
		}
		if next.PageSize == 0 {
			next.PageSize = maxPageSize
		}
		for range maxPages {
			page, err := c.ListTasks(ctx, &next)
			if err != nil {
				yield(nil, err)
				return
			}
			for _, task := range page.Tasks {
				if !yield(task, nil) {
					return
				}
			}
			switch page.NextPageToken {
			case "":
				return
			case next.PageToken:
				yield(nil, fmt.Errorf("vidu: list tasks: %w: its page token did not advance", errBadReply))
				return
			}
			next.Page, next.PageToken = 0, page.NextPageToken
		}
		yield(nil, errTooManyPages)
	}
}
