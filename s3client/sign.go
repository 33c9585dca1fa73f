package s3client

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// unsignedPayload stands for the hash of a body that is not read before it is
// sent (Amazon S3 API, "Signature Calculations for the Authorization Header").
const unsignedPayload = "UNSIGNED-PAYLOAD"

// signer signs requests in the Authorization header.
type signer struct {
	credentials *credentials
	region      string

	mu     sync.Mutex
	secret string
	v4     *v4.Signer
}

// sign adds the signature to req and returns the credentials that made it. The
// path must be escaped already: it is signed as it stands.
func (s *signer) sign(ctx context.Context, req *http.Request, at time.Time) (aws.Credentials, error) {
	creds, err := s.credentials.Retrieve(ctx)
	if err != nil {
		return aws.Credentials{}, fmt.Errorf("%w: %w", ErrCredentials, err)
	}
	// A request that is sent once more brings its first signature along.
	req.Header.Del("X-Amz-Security-Token")
	// The hash must be a header before signing, so that it is signed too.
	req.Header.Set("X-Amz-Content-Sha256", unsignedPayload)
	if err := s.signerFor(creds).SignHTTP(ctx, creds, req, unsignedPayload, "s3", s.region, at); err != nil {
		return aws.Credentials{}, fmt.Errorf("%w: signing: %w", ErrCredentials, err)
	}
	return creds, nil
}

// signerFor returns the SDK's signer, which caches the signing key by access
// key ID only: when a secret changes under the same ID it must be a new one.
func (s *signer) signerFor(c aws.Credentials) *v4.Signer {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.v4 == nil || s.secret != c.SecretAccessKey {
		s.secret = c.SecretAccessKey
		s.v4 = v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
	}
	return s.v4
}
