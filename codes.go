package vidu

import (
	"net/http"
	"slices"
	"strings"

	"github.com/vidu-go/vidu/internal/scrub"
)

// ErrorCode is the API's word for the cause of a failure. It is itself an error, so that one line matches a refused
// call and a failed task alike:
//
//	if errors.Is(err, vidu.ErrCreditInsufficient) { … }
//
// The set is open: codes that this package does not know pass through as they came. Source: the error codes page of
// platform.vidu.com.
type ErrorCode string //nolint:errname // "code" is the field's own term; the type is an error the way syscall.Errno is one

// Codes of a request that was refused for what it says. Sending it again as it is changes nothing.
const (
	ErrBadRequest               ErrorCode = "BadRequest"               // 400, the request as a whole; also a cancellation that came too late
	ErrFieldLacking             ErrorCode = "FieldLacking"             // 400, a required field is missing
	ErrFieldUnwanted            ErrorCode = "FieldUnwanted"            // 400, a field that the model does not take
	ErrFieldItemCountOutOfRange ErrorCode = "FieldItemCountOutOfRange" // 400, too few or too many images, videos or subjects
	ErrFieldInvalid             ErrorCode = "FieldInvalid"             // 400, a value that the model does not take
	ErrPageSizeOutOfRange       ErrorCode = "PageSizeOutOfRange"       // 400, of a list; at most 100
	ErrModelUnavailable         ErrorCode = "ModelUnavailable"         // 400, no such model, or not for this account
)

// Codes of media that cannot be used. The download failures usually come as the code of a failed task.
const (
	ErrImageFormatInvalid   ErrorCode = "ImageFormatInvalid"   // 400, not png, jpeg or webp
	ErrImageSizeInvalid     ErrorCode = "ImageSizeInvalid"     // 400, too large, too small or out of ratio
	ErrImageDownloadFailure ErrorCode = "ImageDownloadFailure" // 400, the server could not fetch a link
	ErrVideoFormatInvalid   ErrorCode = "VideoFormatInvalid"   // 400, not mp4, avi or mov
	ErrVideoDownloadFailure ErrorCode = "VideoDownloadFailure" // 400, the server could not fetch a link
)

// Codes of the content moderation.
const (
	ErrTaskPromptPolicyViolation ErrorCode = "TaskPromptPolicyViolation" // 400, the prompt
	ErrAuditSubmitIllegal        ErrorCode = "AuditSubmitIllegal"        // 400, what was sent
	ErrCreationPolicyViolation   ErrorCode = "CreationPolicyViolation"   // 400, the result
	ErrPhotoAuditNotPass         ErrorCode = "PhotoAuditNotPass"         // 400, an image
	ErrAuditFailed               ErrorCode = "AuditFailed"               // 400, of a failed task as a rule
)

// Codes of the account, the key and its limits. ErrCreditInsufficient also matches the words that gateways use for an
// empty balance, such as insufficient_quota.
const (
	ErrUnauthorized       ErrorCode = "Unauthorized"       // 401, the key is wrong or its scheme is, see [WithAuthScheme]
	ErrForbidden          ErrorCode = "Forbidden"          // 403, the key may not do this
	ErrCreditInsufficient ErrorCode = "CreditInsufficient" // 400 or 402, the balance is too low
	ErrQuotaExceeded      ErrorCode = "QuotaExceeded"      // 429, too many tasks at once; may pass
	ErrTooManyRequests    ErrorCode = "TooManyRequests"    // 429, too many requests; may pass
	ErrSystemThrottling   ErrorCode = "SystemThrottling"   // 429, the server is busy; may pass
)

// Codes of the state of a task or of the server.
const (
	ErrTaskNotFound           ErrorCode = "TaskNotFound"           // 404, no such task, or not yet
	ErrCreationNotFound       ErrorCode = "CreationNotFound"       // 404, no such result
	ErrNotFound               ErrorCode = "NotFound"               // 404; also of [Client.FindTask], where it means: not seen
	ErrOperationInProcess     ErrorCode = "OperationInProcess"     // 400, please wait; after a create a task may exist
	ErrConflict               ErrorCode = "Conflict"               // 409, a duplicate task may exist
	ErrUserCancelled          ErrorCode = "UserCancelled"          // of a task that was cancelled
	ErrCanceled               ErrorCode = "Canceled"               // 499, the request was abandoned midway; after a create a task may exist
	ErrInternalServiceFailure ErrorCode = "InternalServiceFailure" // 500, may pass; after a create a task may exist
)

// Error returns the code as the API spells it.
func (c ErrorCode) Error() string { return scrub.OneLine(string(c), 80) }

// Is makes [ErrCreditInsufficient] match every spelling of "out of money".
func (c ErrorCode) Is(target error) bool {
	return target == ErrCreditInsufficient && c.isOutOfMoney()
}

// isOutOfMoney reports whether the code means an empty balance, which no waiting cures. Gateways spell it
// insufficient_quota, insufficient_user_quota, insufficient_balance and the like, some of them with status 429;
// insufficient_permissions is something else.
func (c ErrorCode) isOutOfMoney() bool {
	lower := strings.ToLower(string(c))
	return strings.Contains(lower, "insufficient") &&
		slices.ContainsFunc([]string{"credit", "quota", "balance", "fund"}, func(money string) bool { return strings.Contains(lower, money) })
}

// orNil returns nil for an absent code, which must not be in error chains.
func (c ErrorCode) orNil() error {
	if c == "" {
		return nil
	}
	return c
}

// codeVerdict is what a code proves about a create that was answered with it.
type codeVerdict uint8

const (
	byStatus       codeVerdict = iota // nothing: the HTTP status decides, as for every unknown code
	refused                           // no task was created, and none will be for this request
	outOfMoney                        // no task was created, and none will be until the account is topped up
	mayPass                           // no task was created; a later attempt may succeed
	unknownOutcome                    // a task may exist, whatever the status
)

// statusClientClosed is nginx's "client closed request", which the API documents as Canceled.
const statusClientClosed = 499

// codeRows has one row for each constant above: the status that the code usually comes with and what it proves. The
// first code of a status is the one that an error response stands for when its body names none.
var codeRows = []struct {
	code    ErrorCode
	status  int // 0: none, the code comes with a task
	verdict codeVerdict
}{
	{ErrBadRequest, http.StatusBadRequest, refused},
	{ErrFieldLacking, http.StatusBadRequest, refused},
	{ErrFieldUnwanted, http.StatusBadRequest, refused},
	{ErrFieldItemCountOutOfRange, http.StatusBadRequest, refused},
	{ErrFieldInvalid, http.StatusBadRequest, refused},
	{ErrPageSizeOutOfRange, http.StatusBadRequest, byStatus},
	{ErrModelUnavailable, http.StatusBadRequest, refused},

	{ErrImageFormatInvalid, http.StatusBadRequest, refused},
	{ErrImageSizeInvalid, http.StatusBadRequest, refused},
	{ErrImageDownloadFailure, http.StatusBadRequest, refused},
	{ErrVideoFormatInvalid, http.StatusBadRequest, refused},
	{ErrVideoDownloadFailure, http.StatusBadRequest, refused},

	{ErrTaskPromptPolicyViolation, http.StatusBadRequest, refused},
	{ErrAuditSubmitIllegal, http.StatusBadRequest, refused},
	{ErrCreationPolicyViolation, http.StatusBadRequest, refused},
	{ErrPhotoAuditNotPass, http.StatusBadRequest, refused},
	{ErrAuditFailed, http.StatusBadRequest, refused},

	{ErrUnauthorized, http.StatusUnauthorized, refused},
	{ErrForbidden, http.StatusForbidden, refused},
	{ErrCreditInsufficient, http.StatusPaymentRequired, outOfMoney},
	{ErrTooManyRequests, http.StatusTooManyRequests, mayPass},
	{ErrQuotaExceeded, http.StatusTooManyRequests, mayPass},
	{ErrSystemThrottling, http.StatusTooManyRequests, mayPass},

	{ErrNotFound, http.StatusNotFound, refused},
	{ErrTaskNotFound, http.StatusNotFound, byStatus},
	{ErrCreationNotFound, http.StatusNotFound, byStatus},
	{ErrOperationInProcess, http.StatusBadRequest, unknownOutcome},
	{ErrConflict, http.StatusConflict, unknownOutcome},
	{ErrUserCancelled, 0, byStatus},
	{ErrCanceled, statusClientClosed, unknownOutcome},
	{ErrInternalServiceFailure, http.StatusInternalServerError, unknownOutcome},
}

// verdict returns what the code proves about a create.
func (c ErrorCode) verdict() codeVerdict {
	for i := range codeRows {
		if codeRows[i].code == c {
			return codeRows[i].verdict
		}
	}
	return byStatus
}

// isRefusal reports whether the code means that nothing was created, for now or for good.
func (c ErrorCode) isRefusal() bool {
	v := c.verdict()
	return v == refused || v == outOfMoney || v == mayPass
}

// codeOfStatus returns the code that an error response stands for when its body names none, "" for most statuses.
func codeOfStatus(status int) ErrorCode {
	for i := range codeRows {
		if row := &codeRows[i]; row.status == status && status != 0 {
			return row.code
		}
	}
	return ""
}
