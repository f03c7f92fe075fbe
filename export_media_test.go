package vidu //nolint:testpackage // seams for the tests of request and media; they themselves are outside

import (
	"reflect"

	"github.com/vidu-go/vidu/internal/oneshot"
)

// Prepare checks and encodes the request.
func (req *Reference2VideoRequest) Prepare() (*oneshot.Body, error) { return req.prepare() }

// WireFields are the names that Extra must not have.
var WireFields = wireFields

// WireRequestType is the struct behind the wire form.
var WireRequestType = reflect.TypeFor[wireRequest]()
