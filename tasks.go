package vidu

import (
	"context"
	"fmt"
	"net/http"
)

// GetTask asks for a task by its id. It is free and is repeated after failures that may pass. An id that the server
// does not know is an [*APIError] with status 404, for a few seconds after the create perhaps wrongly so.
func (c *Client) GetTask(ctx context.Context, id string) (*Task, error) {
	if err := checkID(id); err != nil {
		return nil, err
	}
	var task *Task
	err := c.call(ctx, &request{method: http.MethodGet, path: "/tasks/" + id + "/creations", limit: maxReply},
		func(reply []byte) (err error) {
			task, err = decodeTask(reply)
			return err
		})
	if err != nil {
		return nil, err
	}
	if task.ID != id && task.ID != "" {
		task.Warnings = append(task.Warnings, "the reply calls the task "+task.ID)
	}
	task.ID = id // gateways leave it out, or name their upstream's
	return task, nil
}

// checkID keeps everything that is not an id out of paths.
func checkID(id string) error {
	if validID(id) {
		return nil
	}
	return fmt.Errorf("vidu: %q is not a task id: 1–128 letters, digits, \"-\" and \"_\"", oneLine(id, 40))
}
