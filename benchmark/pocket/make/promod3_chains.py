"""Copy the PDB chains of ProMod3's structure database to a NumPy file.

Run by Debian's own Python, for which python3-promod3 is built, as
`python3 promod3_chains.py FILE.npz SHORTEST LONGEST`; it can import nothing else of this project.
The database holds unbroken stretches of PDB chains: coordinates and DSSP states for every residue.
"""

import sys

import numpy as np


def main(path: str, shortest: int, longest: int) -> None:
    """Write chains of `shortest` to `longest` residues.

    Arrays: `id` (n,) is PDB code and chain name; `seq` and `ss8` (n,) are strings; `cb` (R, 3) is
    C-beta in Å, float32, the chains one after the other. Glycine has a C-beta too: ProMod3 builds
    one from N, C-alpha and C.
    """
    from promod3 import loop

    db = loop.LoadStructureDB()
    ids, seqs, states, betas = [], [], [], []
    for index in range(db.GetNumCoords()):
        info = db.GetCoordInfo(index)
        if not shortest <= info.size <= longest:
            continue
        seq = db.GetSequence(index)
        backbone = db.GetBackboneList(index, seq)
        ids.append(info.id + info.chain_name)
        seqs.append(seq)
        states.append(db.GetDSSPStates(index))
        for i in range(len(seq)):
            position = backbone.GetCB(i)
            betas.append([position[0], position[1], position[2]])
    np.savez(path, id=ids, seq=seqs, ss8=states, cb=np.array(betas, dtype=np.float32))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
