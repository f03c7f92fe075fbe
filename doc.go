// Package vidu is a client for Vidu's reference-to-video API (参考生视频): reference images and a prompt become a
// video.
//
//	client, err := vidu.NewClient("https://gateway.example.com", os.Getenv("VIDU_API_KEY"))
//	if err != nil {
//		return err
//	}
//	task, err := client.Reference2Video(ctx, &vidu.Reference2VideoRequest{
//		Model:  vidu.ModelQ2Pro,
//		Images: []vidu.Media{vidu.URL("https://example.com/hero.png"), vidu.File("villain.jpg")},
//		Prompt: "The astronaut waved and the camera moved up.",
//	})
//	if err != nil {
//		return err // see Errors: it says whether a task may exist
//	}
//	if task, err = client.Wait(ctx, task.ID); err != nil {
//		return err
//	}
//	_, err = client.DownloadFile(ctx, task, "hero.mp4")
//
// The API is sold by its maker ([WithOfficialAPI]) and by gateways, which keep the bodies and change the address:
// [WithAPIPath] and [WithAuthScheme] fit most of them.
//
// # Waiting
//
// A task takes about a minute, or up to 48 hours with OffPeak. [Client.Wait] returns it when it has ended;
// [Client.Watch] is the loop beneath, for callers who want every change. Both last as long as their context and ride
// out what may pass: lost connections, 429, 5xx. Ending a wait does not end the task, which can be waited for again by
// its id, from another process, too.
//
// # Errors
//
// A create is paid for and the API has no idempotency, so what matters about a failure is whether a task exists:
//
//   - [*ValidationError]: nothing was sent; it lists every problem.
//   - [*APIError]: the server said no. From [Client.Reference2Video] it means that no task was created.
//   - [*MaybeCreatedError]: the request may have arrived. A task may exist and be billed. Do not send it again.
//   - [*TaskError]: the task was accepted and then failed or was cancelled, which is not charged.
//   - any other error: nothing was created; it wraps its cause.
//
// One question is enough:
//
//	if errors.Is(err, vidu.ErrMaybeCreated) {
//		// look for the task by its Payload, or tell a person
//	}
//
// Codes of the API match refused calls and failed tasks alike: errors.Is(err, [ErrCreditInsufficient]).
//
// # Retries
//
// Queries are repeated after lost connections, 429 and 5xx. A create is repeated only when the first one provably
// created nothing: the last byte of its body never left this process, or the server said 429 or 425. Everything else,
// every 5xx, timeout and lost answer, is a [*MaybeCreatedError]. Redirects are never followed. [WithMaxAttempts] and
// [WithBackoff] change how often and when.
//
// # Testing
//
// Package [github.com/vidu-go/vidu/vidutest] is a fake server that keeps tasks, serves a video, can be told to fail in
// the ways that matter, and counts what was charged. It needs no key and no network.
package vidu
