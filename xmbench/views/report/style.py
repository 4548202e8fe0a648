"""Style and script of a report."""

from __future__ import annotations

STYLE = """
.facts{display:grid;grid-template-columns:max-content 1fr;gap:.1rem 1rem;margin:.5rem 0;font-size:.85rem}
.facts dt{opacity:.8}.facts dd{margin:0;overflow-wrap:anywhere}code{overflow-wrap:anywhere;font-size:.92em}
details{font-size:.85rem;margin:.4rem 0}.sub{font-size:.82rem;margin:.2rem 0 .4rem;opacity:.85;overflow-wrap:anywhere}
.absent{border-left:4px solid var(--mark);background:var(--soft);padding:.5rem .8rem}
h3{font-size:1rem;margin:1rem 0 .3rem}th,td{vertical-align:top;text-align:left}.n,.heat,.cell{text-align:right}
tbody th{font-weight:600;white-space:normal;min-width:7rem}.matrix tbody th,.tall tbody th{min-width:0}
.tall{max-height:34rem;overflow:auto}
.heat{background:color-mix(in srgb,var(--mark) calc(var(--p)*.3),transparent)}
.matrix td,.matrix th{padding:.2rem .45rem}.cell{background:color-mix(in srgb,#d24b4b calc(var(--p)*.8),transparent)}
.cell.right{background:color-mix(in srgb,var(--mark) calc(var(--p)*.45),transparent)}
.confusion{max-width:100%;image-rendering:pixelated;border:1px solid var(--line)}
.legend{display:flex;flex-wrap:wrap;gap:.1rem 1.2rem;list-style:none;padding:0;margin:.3rem 0;font-size:.85rem}
.charts{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(19rem,100%),1fr));gap:1rem 2rem}
figure{margin:0;min-width:0}figure h3{margin:.2rem 0}figcaption{font-size:.8rem;opacity:.85}
.chart{width:100%;fill:var(--mark)}.chart path{stroke:currentColor}.chart text{font-size:11px;fill:currentColor}
.chart .line{stroke-width:1.2;stroke-dasharray:3 2;opacity:.8}.chart .letter{font-weight:700}
article{display:grid;grid-template-columns:19rem 6.5rem 1fr 1fr;gap:.9rem;background:var(--soft);border-radius:8px}
article{padding:.7rem;margin:.6rem 0;content-visibility:auto;align-items:start}
article h4{margin:0;font-size:1rem}
article dl{display:grid;grid-template-columns:1fr auto 1fr auto;gap:0 .6rem;margin:.3rem 0 0}
article dl{font-size:.78rem}article dt{white-space:nowrap}article dd{margin:0;font-variant-numeric:tabular-nums}
.wave{width:100%;height:40px;fill:var(--mark);stroke:var(--mark);display:block}
.spec{width:100%;height:84px;display:block;border-radius:4px;margin:.2rem 0 .4rem}
.pic{width:100%;max-width:9rem;image-rendering:pixelated;border-radius:4px;display:block}
.none{opacity:.8;padding:1rem 0}
article:has(figure:nth-of-type(1).wide-media){grid-template-columns:19rem 1fr 9rem 9rem}
@media(max-width:48rem){body{margin:.8rem auto}.facts{grid-template-columns:1fr}.facts dt{margin-top:.3rem}
article,article:has(figure:nth-of-type(1).wide-media){grid-template-columns:1fr 1fr}
.about,.wide-media{grid-column:1/-1}.pic{max-width:6.5rem}}
"""

SCRIPT = """
document.addEventListener('play',e=>{for(const p of document.querySelectorAll('audio'))if(p!==e.target)p.pause()},true);
"""
