"""The methods of directions once more, in float64 and on whole tensors, step
by step as mergekit's documents give them: no Gram matrix, no shortcut.

`method(base, models, weights, options)` merges one tensor; `base` may be None.
"""

import torch


def arc(a, c, t, floor=1e-7):
    """From a to c along the last dimension."""
    norm = [x.norm(dim=-1, keepdim=True).clamp(min=floor) for x in (a, c)]
    d = (a / norm[0] * (c / norm[1])).sum(-1, keepdim=True).clamp(-1, 1)
    theta = d.acos()
    straight = 1 - d.float() ** 2 <= 1e-16
    turned = (((1 - t) * theta).sin() * a + (t * theta).sin() * c) / theta.sin()
    return torch.where(straight, (1 - t) * a + t * c, turned)


def nuslerp(base, models, weights, options):
    total = sum(weights)
    t = weights[1] / total if abs(total) >= 1e-6 else 0.5
    shape = models[0].shape
    origin = torch.zeros_like(models[0]) if base is None else base
    a, c = (x - origin for x in models)
    if options.get("nuslerp_flatten", True) or a.dim() < 2:
        out = arc(a.flatten(), c.flatten(), t)
    elif options.get("nuslerp_row_wise", False):
        out = arc(a.flatten(1).T, c.flatten(1).T, t).T
    else:
        out = arc(a, c, t)
    return origin + out.reshape(shape)


def multislerp(base, models, weights, options):
    eps = options.get("eps", 1e-8)
    w = torch.tensor(weights).double()
    if options.get("normalize_weights", True):
        w = w / w.sum()
    shape = models[0].shape
    origin = torch.zeros_like(models[0]) if base is None else base
    x = torch.stack([(m - origin).flatten() for m in models])
    n = x.norm(dim=1)
    u = x / (n + eps)[:, None]
    m = w @ u
    if m.norm() < eps:
        return origin + (w @ x).reshape(shape)
    m = m / m.norm()
    tau = w @ (u - (u @ m)[:, None] * m)
    r = tau.norm() + eps
    out = (m * r.cos() + tau * (r.sin() / r)) * (w * n).sum()
    return origin + out.reshape(shape)


def karcher(base, models, weights, options):
    tol = options.get("tol", 1e-5)
    x = torch.stack([m.flatten() for m in models])
    n = x.norm(dim=1)
    u = x[n > tol] / n[n > tol][:, None]
    if not len(u):
        return torch.zeros_like(models[0])
    mean = u.mean(0)
    mean = u[0] if mean.norm() < tol else mean / mean.norm()
    for _ in range(options.get("max_iter", 10)):
        d = (u @ mean).clamp(-1, 1)
        theta = d.acos()
        pull = torch.where(theta < tol, 0, theta / theta.sin()) / len(u)
        step = (pull[:, None] * (u - d[:, None] * mean)).sum(0)
        size = step.norm()
        if size < tol:
            break
        mean = size.cos() * mean + size.sin() * step / size
        mean = mean / mean.norm()
    return (mean * n.mean()).reshape(models[0].shape)


def model_stock(base, models, weights, options):
    delta = [m - base for m in models]
    if not options.get("filter_wise", False):
        delta = [d.flatten() for d in delta]
    n = len(models)
    cosines = []
    for i in range(n):
        for j in range(i + 1, n):
            norms = delta[i].norm(dim=-1) * delta[j].norm(dim=-1)
            dot = (delta[i] * delta[j]).sum(-1)
            cosines.append((dot / norms.clamp(min=1e-6)).clamp(-1, 1))
    c = torch.stack(cosines).mean(0)
    q = 1 + (n - 1) * c
    t = torch.where(q.abs() < 1e-6, 0, n * c / q)
    if options.get("filter_wise", False):
        t = t.unsqueeze(-1)
    return t * sum(models) / n + (1 - t) * base
