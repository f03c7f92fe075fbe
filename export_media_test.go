package vidu //nolint:testpackage // seams for the tests of request and media; they themselves are outside

import (
	"github.com/vidu-go/vidu/internal/oneshot"
)

// Prepare checks and encodes the request.
func (req *Reference2VideoRequest) Prepare() (*oneshot.Body, error) { return req.prepare() }
