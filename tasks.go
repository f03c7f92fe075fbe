package vidu

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"

	"github.com/vidu-go/vidu/internal/lenientjson"
	"github.com/vidu-go/vidu/internal/oneshot"
	"github.com/vidu-go/vidu/internal/scrub"
)

// GetTask asks for a task by its id. It is free and is repeated after failures that may pass. An id that the server
// does not know is an [*APIError], with status 404 as a rule, for a few seconds after the create perhaps wrongly so. A
// reply about another task is an error with the official API; behind a gateway, which may use its upstream's ids, it
// has a warning, unless this client has made, or waits for, both.
func (c *Client) GetTask(ctx context.Context, id string) (*Task, error) {
	if err := checkID(id); err != nil {
		return nil, err
	}
	var task *Task
	err := c.call(ctx, &request{operation: "get task", taskID: id, method: http.MethodGet, path: "/tasks/" + id + "/creations", limit: maxReply},
		func(a *attempt) (err error) {
			if task, err = decodeQuery(ctx, a.reply(), id); err != nil {
				return err
			}
			task.TraceID = cmp.Or(traceIDOf(a.header, c.redact), task.TraceID)
			return c.checkQueried(task, id)
		})
	if err != nil {
		return nil, err
	}
	task.ID = id // gateways leave it out, or name their upstream's
	maskTask(task, c.redact)
	c.pacer.DropReply(id)
	return task, nil
}

// checkID keeps everything that is not an id out of paths.
func checkID(id string) error {
	if validID(id) {
		return nil
	}
	return fmt.Errorf("vidu: %q is not a task id: 1–%d letters, digits and any of %s", scrub.OneLine(id, 40), maxID, idPunctuation)
}

// checkQueried compares the id in the reply to a query, if there is one, with that of the task that was asked for. A
// gateway may use its upstream's ids. With the official API another id means another task, and so it does where both
// are ids of tasks that this client has made or waits for.
func (c *Client) checkQueried(task *Task, id string) error {
	switch {
	case task.ID == id, task.ID == "":
	case c.official, c.knows(id) && c.knows(task.ID):
		return fmt.Errorf("%w: it is about task %s", errBadReply, scrub.OneLine(task.ID, maxID))
	default:
		task.Warnings = append(task.Warnings, "the reply calls the task "+task.ID)
	}
	return nil
}

// knows reports whether this client has made the task, or waits for it.
func (c *Client) knows(id string) bool { return c.pacer.Remembers(id) || c.waiters.waitFor(id) }

// CancelTask asks the server to drop a task. Only one that still waits can be dropped, and it is not charged; otherwise
// the error is an [*APIError] with [ErrBadRequest]. Ask [Client.GetTask] for the outcome: the task ends as failed with
// [ErrUserCancelled]. After a lost answer the request is sent again, and the second answer may be a refusal although
// the first one was not. Part of the official API; elsewhere it fails with [ErrNotSupported]. Source: the cancel page
// of platform.vidu.com.
func (c *Client) CancelTask(ctx context.Context, id string) error {
	if err := checkID(id); err != nil {
		return err
	}
	body := oneshot.New([]byte(`{"id":"`+id+`"}`), nil, nil)
	err := c.call(ctx, &request{operation: "cancel task", taskID: id, method: http.MethodPost, path: "/tasks/" + id + "/cancel", body: body, limit: maxReply},
		func(a *attempt) error {
			reply := a.reply()
			if text := lenientjson.TrimLeft(reply); len(text) == 0 || text == "null" {
				return nil
			}
			return checkReply(reply)
		})
	return unsupported(err)
}

// Credits is what an account has left.
type Credits struct {
	Remains []CreditRemain
	// Packages describes what was bought, as the server says it: its form is not documented.
	Packages json.RawMessage
}

// CreditRemain is the balance of one kind of credits and the limit that goes with it.
type CreditRemain struct {
	Type               string // such as "test" or "normal"
	Credits            int    // what is left
	ConcurrencyLimit   int    // tasks that may run at once
	CurrentConcurrency int    // tasks that run
	QueueCount         int    // tasks that wait
}

// GetCredits returns the balance. Part of the official API; elsewhere it fails with [ErrNotSupported]. Source: the
// credits page of platform.vidu.com.
func (c *Client) GetCredits(ctx context.Context) (*Credits, error) {
	var credits *Credits
	err := c.call(ctx, &request{operation: "get credits", method: http.MethodGet, path: "/credits", limit: maxReply},
		func(a *attempt) (err error) {
			credits, err = decodeCredits(a.reply())
			return err
		})
	if err != nil {
		return nil, unsupported(err)
	}
	return credits, nil
}

// decodeCredits is strict about the lists: a program must not take what it cannot read for an empty account.
func decodeCredits(reply string) (*Credits, error) {
	if err := checkReply(reply); err != nil {
		return nil, err
	}
	object := lenientjson.Value(reply)
	if inner := object.Member("data"); inner.IsObject() && remainsOf(object) == "" {
		object = inner
	}
	list, packages := remainsOf(object), object.Member("packages")
	first := object.Items()
	switch {
	case list == "" && packages == "" && first.Next():
		return nil, fmt.Errorf("%w: it has no credits", errBadReply)
	case !list.IsArray() && !list.IsNull():
		return nil, fmt.Errorf("%w: its credits are not a list", errBadReply)
	}
	credits := &Credits{Packages: json.RawMessage(packages)}
	for it := list.Items(); it.Next() && len(credits.Remains) < maxRemains; {
		remain, ok := readCreditRemain(it.Value())
		if !ok {
			return nil, fmt.Errorf("%w: a balance in it cannot be read", errBadReply)
		}
		credits.Remains = append(credits.Remains, remain)
	}
	return credits, nil
}

const maxRemains = 100 // balances in one reply

func remainsOf(v lenientjson.Value) lenientjson.Value {
	if list := v.Member("remains"); list != "" {
		return list
	}
	return v.Member("remaining_credits") // as one page of the documentation prints it
}

// readCreditRemain returns false where the balance cannot be read. What is missing is zero, as in any protobuf.
func readCreditRemain(v lenientjson.Value) (CreditRemain, bool) {
	r := CreditRemain{Type: v.Member("type").Text()}
	ok := v.IsObject() && v.Member("credit_remain").ReadRounded(&r.Credits, math.Floor)
	v.Member("concurrency_limit").ReadInt(&r.ConcurrencyLimit)
	v.Member("current_concurrency").ReadInt(&r.CurrentConcurrency)
	v.Member("queue_count").ReadInt(&r.QueueCount)
	return r, ok
}
