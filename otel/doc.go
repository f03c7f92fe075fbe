// Package viduotel traces and measures the calls of a [vidu.Client] with OpenTelemetry (https://opentelemetry.io). Each
// call is a client span with an event per attempt, and is counted and timed by operation and outcome. Nothing that it
// records holds the API key, a prompt, a payload, a link or the text of an error.
//
// Three lines set it up, beside the program's own providers and propagator:
//
//	client, err := vidu.NewClientFromEnv(
//		vidu.WithTracer(viduotel.NewTracer()),
//		vidu.WithTransportWrapper(viduotel.Transport))
//
// The second line is tracing and metrics. The third sends the trace context along with each request; leave it out where
// the server is not yours.
//
// # Spans
//
// A span is named after its operation: the endpoint of a create, such as "reference2video", or "get task" and the like.
// Its status is Error when the outcome is refused, not_sent, unknown or failed. The look-up that [vidu.WithRecovery]
// makes after a lost answer is a part of its create: its calls are children of that span.
//
//	vidu.operation             as the name
//	vidu.outcome               created, refused, not_sent, unknown, ok or failed, see [vidu.Outcome]
//	vidu.attempts              number of requests that were sent
//	vidu.task.id               absent when there is no task
//	error.type                 of a failure, see below
//
// Each attempt is an event, "vidu.attempt":
//
//	vidu.attempt.number        from 1
//	vidu.attempt.duration      in seconds
//	http.response.status_code  absent when there was no response
//	vidu.request.id            of the response, for the vendor's support
//	error.type                 of a failure
//
// error.type is the API's code (such as "CreditInsufficient") or else the HTTP status of an error response; "canceled"
// or "timeout" when that ended the call or the attempt; "reply" for a response that cannot be used; and "transport" for
// everything else: there was no response.
//
// # Metrics
//
//	vidu.client.calls          counter, by vidu.operation and vidu.outcome
//	vidu.client.call.duration  histogram in seconds, retries included, by the same
//	vidu.client.attempts       counter, by vidu.operation and http.response.status_code
//
// Alert on vidu.client.calls with the outcome unknown: each of them may have been paid for.
package viduotel
