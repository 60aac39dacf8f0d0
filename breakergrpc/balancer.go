package breakergrpc

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"

	"google.golang.org/grpc/balancer"
	"google.golang.org/grpc/balancer/base"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/datapunk/switchgear/internal/fleet"
)

// balancerName is what a service config calls the balancer by.
const balancerName = "switchgear_round_robin"

func init() {
	balancer.Register(base.NewBalancerBuilder(balancerName, builder{}, base.Config{HealthCheck: true}))
}

type builder struct{}

// Build makes the picker of the connections that are ready, in the order of their
// addresses.
func (builder) Build(info base.PickerBuildInfo) balancer.Picker {
	if len(info.ReadySCs) == 0 {
		return base.NewErrPicker(balancer.ErrNoSubConnAvailable)
	}
	p := new(picker)
	for conn, i := range info.ReadySCs {
		p.conns = append(p.conns, &connection{conn: conn, address: i.Address.Addr})
	}
	slices.SortFunc(p.conns, func(a, b *connection) int { return cmp.Compare(a.address, b.address) })
	return p
}

// picker goes round the connections whose instance takes a call. It chooses
// before anything is sent.
type picker struct {
	conns []*connection
	next  atomic.Uint32
}

type connection struct {
	conn    balancer.SubConn
	address string
	parts   sync.Map // *fleet.Circuit → *fleet.Instance, nil where there are too many
}

func (c *connection) part(circuit *fleet.Circuit) *fleet.Instance {
	known, ok := c.parts.Load(circuit)
	if !ok {
		known, _ = c.parts.LoadOrStore(circuit, circuit.Instance(c.address))
	}
	x, _ := known.(*fleet.Instance)
	return x
}

func (p *picker) Pick(info balancer.PickInfo) (balancer.PickResult, error) {
	first := p.next.Add(1)
	s, _ := info.Ctx.Value(sendingKey{}).(*sending)
	if s == nil {
		return balancer.PickResult{SubConn: p.conns[first%uint32(len(p.conns))].conn}, nil
	}
	circuit := s.Breaker.Circuit()
	var err error
	for i := range uint32(len(p.conns)) {
		c := p.conns[(first+i)%uint32(len(p.conns))]
		if err = s.Choose(c.address, c.part(circuit)); err == nil {
			s.refused.Store(nil)
			return balancer.PickResult{SubConn: c.conn}, nil
		}
	}
	s.refused.Store(&refusal{err})
	return balancer.PickResult{}, status.Error(codes.Unavailable, err.Error())
}
