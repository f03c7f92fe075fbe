package vidutest

import (
	"net/http"
	"path"
)

// cancel answers POST tasks/{id}/cancel.
func (s *Server) cancel(c *call) answer {
	var asked struct {
		ID string `json:"id"`
	}
	if refused := decodeSmall(c.body, &asked); refused != nil {
		return *refused
	}
	t := s.tasks.get(path.Base(path.Dir(c.URL.Path)))
	switch {
	case t == nil:
		return noTask()
	case asked.ID != t.id:
		return *refuseField("FieldInvalid", "id must be that of the path")
	}
	if state := s.tasks.cancel(t); state != "" {
		return refuse(http.StatusBadRequest, "BadRequest", "task state is "+state+", can not cancel")
	}
	return success(struct{}{})
}
