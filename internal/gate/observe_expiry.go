package gate

import (
	"crypto/x509"

	"github.com/prometheus/client_golang/prometheus"
)

// registerExpiry registers when the certificate of a listener ends, if it has one:
//
//	s3gate_certificate_not_after_timestamp_seconds{listener}
func registerExpiry(reg prometheus.Registerer, l *listener) {
	if !l.tls {
		return
	}
	reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "s3gate_certificate_not_after_timestamp_seconds", Help: "When the certificate of a listener ends, in seconds since 1970.",
		ConstLabels: prometheus.Labels{"listener": l.name},
	}, func() float64 {
		leaf, err := x509.ParseCertificate(l.certificate.Load().Certificate[0])
		if err != nil {
			return 0
		}
		return float64(leaf.NotAfter.Unix())
	}))
}
