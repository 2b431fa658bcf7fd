# AdamW for small pictures, warm-up and cosine as quickstart.py.
_base_ = './quickstart.py'

optim_wrapper = dict(
    optimizer=dict(_delete_=True, type='AdamW', lr=.003, weight_decay=.04))
