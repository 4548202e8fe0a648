"""Style of a rating page."""

from __future__ import annotations

STYLE = """
body{max-width:64rem}main{display:block}.sub{font-size:.82rem;opacity:.85;overflow-wrap:anywhere}
button,input,textarea{font:inherit}button{padding:.55rem 1.1rem;border-radius:8px;border:1px solid var(--line)}
button{background:var(--soft);color:inherit;cursor:pointer;min-height:44px}
#next,#done,#who button{background:var(--mark);color:var(--back);border-color:var(--mark);font-weight:600}
:focus-visible{outline:3px solid var(--mark);outline-offset:2px}
form,nav{display:flex;gap:.6rem;flex-wrap:wrap;align-items:center;margin:.8rem 0}nav #next,nav #done{margin-left:auto}
#rater{padding:.5rem;min-height:44px;max-width:100%}textarea{width:100%}
.scale{list-style:none;padding:0;margin:.4rem 0}.scale li{padding:.12rem 0;display:flex}
.scale b{flex:0 0 1.6rem;align-self:start;text-align:center;border:1px solid var(--line);border-radius:5px}
.scale b{margin-right:.5rem}
.where{display:flex;gap:.8rem;align-items:center;margin:.6rem 0}progress{flex:1;accent-color:var(--mark)}
#notice,#missing:not(:empty){border-left:4px solid var(--mark);background:var(--soft);padding:.5rem .8rem}
.set h2{font-size:1.5rem;margin:.8rem 0 .4rem}h2:focus{outline:none}
.condition{margin:0 0 .8rem;max-width:24rem}figcaption{font-size:.82rem;opacity:.85}
.pic{width:100%;max-width:14rem;image-rendering:pixelated;border-radius:6px;display:block}
.condition .pic{max-width:12rem}
.outputs{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(14rem,100%),1fr));gap:.8rem}
fieldset{border:1px solid var(--line);border-radius:10px;padding:.6rem;min-width:0;margin:0;background:var(--soft)}
fieldset:focus{outline:none}
fieldset.marked{border-color:var(--mark);outline:2px solid var(--mark);outline-offset:0}
legend{font-weight:600;padding:0 .3rem}
.scores{display:grid;grid-template-columns:repeat(4,1fr);gap:.4rem;margin-top:.6rem}
.scores label{display:flex;justify-content:center;align-items:center;gap:.3rem;min-height:44px;cursor:pointer}
.scores label{border:1px solid var(--line);border-radius:8px;background:var(--back)}
.scores label:has(:checked){background:var(--mark);color:var(--back);border-color:var(--mark)}
.scores input{accent-color:var(--back);margin:0}
kbd{border:1px solid var(--line);border-radius:4px;padding:0 .3rem;font-size:.9em}
details{margin:.4rem 0}summary{cursor:pointer;font-size:.9rem}#known ul{list-style:none;padding:0}
#known li{margin:.3rem 0}#known button{overflow-wrap:anywhere;max-width:100%}
@media(max-width:40rem){html{scroll-padding-bottom:5rem}body{margin:.8rem auto}h1{font-size:1.2rem}
main:has(#rating:not([hidden]))>.sub{display:none}
.outputs{grid-template-columns:1fr}fieldset:has(.pic){display:grid;grid-template-columns:8rem 1fr;gap:.8rem}
fieldset:has(.pic) .scores{grid-template-columns:1fr 1fr;margin:0;align-content:center}
nav{position:sticky;bottom:0;background:var(--back);padding:.4rem 0;margin:.4rem 0}nav button{padding:.55rem .8rem}}
"""
