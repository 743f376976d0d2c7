"""Makes rnn/*.safetensors with PyTorch, in float64.

    python3 make_rnn.py

Each file has a configuration in its metadata, a case, and its results (see
rnn_net.py): "h", "h_last", "c_last" and the gradients "grad.*". Sequences of a
batch have different lengths where the name says so.
"""

import torch
from safetensors.torch import save_file

from rnn_net import backpropagate, make_case, metadata

PLAIN = {"cell": "rnn", "nonlinearity": "tanh", "num_layers": 1,
         "bidirectional": 0, "lengths": 0, "batch_first": 0, "given": 0,
         "no_bias": 0, "hidden_size": 4, "proj_size": 0, "input_size": 3,
         "T": 5, "B": 3}
FILES = {
    "rnn_bi": {"bidirectional": 1, "given": 1},
    "rnn_lengths": {"lengths": 1, "num_layers": 2},
    "rnn_relu_bi_lengths": {"nonlinearity": "relu", "bidirectional": 1,
                            "lengths": 1, "num_layers": 2, "given": 1},
    "rnn_no_bias_batch_first": {"no_bias": 1, "batch_first": 1},
    "lstm_bi": {"cell": "lstm", "bidirectional": 1, "num_layers": 2,
                "given": 1},
    "lstm_lengths": {"cell": "lstm", "lengths": 1, "given": 1},
    "lstm_bi_lengths_batch_first": {"cell": "lstm", "lengths": 1,
                                    "bidirectional": 1, "batch_first": 1},
    "lstm_proj": {"cell": "lstm", "proj_size": 2, "given": 1},
    "lstm_proj_bi_lengths": {"cell": "lstm", "proj_size": 3, "lengths": 1,
                             "bidirectional": 1, "num_layers": 2, "given": 1},
    "gru_bi": {"cell": "gru", "bidirectional": 1, "num_layers": 2},
    "gru_lengths": {"cell": "gru", "lengths": 1, "given": 1},
    "gru_bi_lengths_batch_first": {"cell": "gru", "lengths": 1, "given": 1,
                                   "bidirectional": 1, "batch_first": 1},
}

for number, (name, options) in enumerate(FILES.items()):
    configuration = PLAIN | options
    case = make_case(configuration,
                     torch.Generator().manual_seed(4117 + number))
    save_file(case | backpropagate(configuration, case),
              f"rnn/{name}.safetensors", metadata(configuration))
