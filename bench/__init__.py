"""The benchmark: vipproxy beside HAProxy and `twisted.protocols.portforward`, in one run."""
