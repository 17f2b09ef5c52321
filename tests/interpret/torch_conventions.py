# A notebook cell: nothing is imported here, the usual names mean what they mean everywhere.
x = torch.randn(2, 3)
a = F.softmax(x, 1)  # reveal a: probs
b = nn.Sigmoid()(x)  # reveal b: unit-interval
c = np.zeros(3)  # reveal c: role=none
d = T.softmax(x)  # reveal d: probs
df = pd.read_csv("x.csv")  # reveal df: role=none
train_df = df.head()  # reveal train_df: no-meaning
nn = None
e = undefined_name  # reveal e: unknown


def shadowed(F):
    return F.softmax(x, 1)  # reveal F.softmax(x, 1): unknown


shadowed(object)
