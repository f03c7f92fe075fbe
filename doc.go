// Package vidu is a client for Vidu's video API: reference images (参考生视频), a text (文生视频), a first image (图生视频), or
// a first and a last one (首尾帧) become a video.
//
//	client, err := vidu.NewClient("https://gateway.example.com", os.Getenv("VIDU_API_KEY"))
//
// One client serves the whole program. It creates a task, waits for it and fetches the result:
//
//	task, err := client.Reference2Video(ctx, &vidu.Reference2VideoRequest{
//		Model:   vidu.ModelQ2Pro,
//		Images:  []vidu.Media{vidu.URL("https://example.com/hero.png")},
//		Prompt:  "The astronaut waved and the camera moved up.",
//		Payload: vidu.NewMarker(), // new for every create; stored before the call it finds the task if the answer is lost
//	})
//	if err != nil {
//		return "", err
//	}
//	id = task.ID // paid for: keep it, and Wait and DownloadFile can go on from there at any time
//	if task, err = client.Wait(ctx, id); err != nil {
//		return id, err
//	}
//	_, err = client.DownloadFile(ctx, task, path)
//	return id, err
//
// [Client.Text2Video], [Client.Img2Video] and [Client.StartEnd2Video] are the other creates, and [Client.CreateTask]
// serves every further endpoint.
//
// The API is sold by its maker ([WithOfficialAPI]) and by gateways, which keep the bodies and change the address:
// [WithAPIPath] and [WithAuthScheme] fit most of them.
//
// # Waiting
//
// A task takes about a minute, or up to 48 hours with OffPeak. [Client.Wait] returns it when it has ended;
// [Client.Watch] is the loop beneath, for callers who want every change, and [Client.WaitAll] yields any number of
// tasks as they end. All last as long as their context and ride out transient failures: lost connections, 429, 5xx.
// Ending a wait does not end the task, which can be waited for again by its id, from another process, too.
//
// A client learns how long tasks take, for each model, duration, resolution and off-peak or not, and asks when a task
// is likely to end: once a second at most, once in 30 seconds at least, or in 30 minutes for off-peak tasks.
// [WithMaxPollRate] bounds the queries of a WaitAll, and where callbacks have proved to arrive fewer are needed.
// [WithPollInterval] and [WithPollSchedule] set a schedule of your own.
//
// # Errors
//
// A create is paid for and the API has no idempotency, so what matters about a failure is whether a task exists:
//
//   - [*ValidationError]: nothing was sent; it lists every problem.
//   - [*APIError]: the server answered with an error. From a create, and not inside a MaybeCreatedError, it means that
//     no task was created.
//   - [*MaybeCreatedError]: the request may have arrived. A task may exist and be billed. Do not send it again.
//   - [*TaskError]: the task was accepted and then failed or was cancelled, which is not charged.
//   - any other error: nothing was created; it wraps its cause.
//
// One question to an error of a create is enough: whether it matches [ErrMaybeCreated]. If so, look for the task by its
// Payload, or alert an operator.
//
// So give every request a Payload of its own ([NewMarker]) and store it before the call. On the official API
// [Client.FindTask] looks for it, and [WithRecovery] does so inside the call; not to find it is no proof. Elsewhere a
// callback brings the lost task. docs/recovery.md in the repository has both as programs.
//
// Codes of the API match refused calls and failed tasks alike: errors.Is(err, [ErrCreditInsufficient]).
//
// # Retries
//
// Queries are repeated after lost connections, 429 and 5xx. A create is repeated only when the first one provably
// created nothing: the last byte of its body never left this process, or the server answered 429 or 425. After a lost
// answer, a timeout or a 5xx to a complete request the outcome is unknown and the error is a [*MaybeCreatedError].
// Redirects are never followed. [WithMaxAttempts] and [WithBackoff] change how often and when.
//
// # Callbacks
//
// [Client.CallbackHandler] is a [net/http.Handler] for a request's CallbackURL. The vendor signs callbacks with the API
// key but does not sign their body, so the handler uses only the task id from the body: it asks the API for the task,
// wakes the waits of this process and hands your function what the API said, once. Behind a gateway the key is not
// yours and nothing can be verified: [WithUnverifiedCallbacks]. A callback may be lost; keep waiting as well.
//
// # Transports
//
// Without [WithHTTPClient] there are transports of our own: HTTP/1.1 and a fresh connection for every create, up to 64
// connections with HTTP/2 for everything else, the proxy of the environment (HTTPS_PROXY, NO_PROXY), and a limit of
// time on every step. A transport that you bring with WithHTTPClient keeps its own timeouts; then, without
// Client.Timeout, only the context limits a call.
//
// For a private CA, a client certificate or a proxy, give WithHTTPClient an [*net/http.Transport]: creates then use a
// clone of it with the same rules. To trace, measure or log, use [WithTransportWrapper], which goes around these
// transports and does not see presigned links. Any other RoundTripper is used as it is, and may lose the answer to a
// create that the rules would have kept. A server that speaks nothing but HTTP/2 cannot be sent creates. Under js/wasm
// everything goes through Fetch, and the browser decides about connections.
//
// # Testing
//
// Package [github.com/vidu-go/vidu/vidutest] is a fake server that keeps tasks, serves a video, can be told to fail in
// the ways that matter, and counts what was charged. It needs no key and no network. A test with a transport of its own
// gives it to [WithHTTPClient] and has it read the request's body before it answers: a create whose body nobody read
// counts as never sent, and is sent again after a 5xx. A mock in place of [net/http.DefaultTransport] is used if it is
// there before [NewClient] is called.
package vidu
