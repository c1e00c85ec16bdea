"""The memory of the network, shown: what each LSTM cell holds, and for how long."""
