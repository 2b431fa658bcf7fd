# AdamW for small images; warm-up and cosine as in quickstart.py.
_base_ = './quickstart.py'

optim_wrapper = dict(
    optimizer=dict(_delete_=True, type='AdamW', lr=.003, weight_decay=.04))
