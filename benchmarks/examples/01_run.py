"""A whole experiment from Python: what each round cost, what it brought, and what it would ask next.

python benchmarks/examples/01_run.py                                        (a minute and a half on two cores)
"""

import bal

config = bal.Config(rounds=3, budget=96)  # every field is an option of `python -m bal.run`, under the same name

for record in bal.run_loop(config):
    row = record.row
    print(f"{row['cost']:g} regions: IoU {row['iou_curve_1']:.3f} and {row['iou_curve_2']:.3f}")
    for query in record.queries[:2]:
        print(f"  asks about region {query['region']} of {query['image']}, {query['policy']}")
