package vidu //nolint:testpackage // seams for the tests of request and media; they themselves are outside

import "reflect"

// OneShot is the body of one attempt.
type OneShot = oneShot

// Seal is what the client does as soon as net/http has returned.
func (o *oneShot) Seal() (incomplete bool) { return o.seal() }

// Body is an encoded request.
type Body = body

// Open starts one sending of the body.
func (b *body) Open() *OneShot { return b.open() }

// Size is the Content-Length.
func (b *body) Size() int64 { return b.size }

// Prepare checks and encodes the request.
func (req *Reference2VideoRequest) Prepare() (*Body, error) { return req.prepare() }

// WireFields are the names that Extra must not have.
var WireFields = wireFields

// WireRequestType is the struct behind the wire form.
var WireRequestType = reflect.TypeFor[wireRequest]()
